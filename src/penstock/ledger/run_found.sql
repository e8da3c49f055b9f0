select run_id, kind, status, started_at, ended_at, upper_seq, schedule, layer, fingerprint, whole, selected, detail
from penstock.runs
where run_id = {run}
