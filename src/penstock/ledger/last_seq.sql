select coalesce(max(seq), 0)
from penstock.loads
where stream = $1
