select coalesce(max(load_id), 0)
from penstock.loads
where stream = $1
