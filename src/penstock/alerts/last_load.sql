-- the last load that brought something new
select committed_at
from penstock.loads
where stream = {stream} and read > 0 and (landed > 0 or deleted > 0)
order by committed_at desc
limit 1
