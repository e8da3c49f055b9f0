select run_id, kind, status, upper_seq, started_at, ended_at
from penstock.runs
where parent_id is null
order by run_id desc
limit {last}
