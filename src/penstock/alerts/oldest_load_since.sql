-- where to begin to look for what happened since: no record lands before it happens
select min(load_id)
from penstock.loads
where stream = {stream} and committed_at >= {start} and landed > 0
