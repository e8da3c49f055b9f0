select seq, load_id, stream, source, read, landed, duplicates, quarantined, bytes, started_at, committed_at
from penstock.loads
order by seq desc
limit {last}
