select run_id, kind, status, started_at, ended_at, upper_seq, detail
from penstock.runs
where run_id = {run}
