select
  step, attempt, kind, name, source, status, started_at, seconds, read, landed, duplicates, quarantined, rows, error, fix
from penstock.run_steps
where run_id = {run}
order by step
