select committed_at
from penstock.loads
where stream = {stream}
order by committed_at
limit 1
