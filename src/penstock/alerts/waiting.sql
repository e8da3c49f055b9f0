select count(*)
from penstock.quarantine
where stream = {stream} and quarantined_at >= {start} and replayed_in is null and dropped_at is null
