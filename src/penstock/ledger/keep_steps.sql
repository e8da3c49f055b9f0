insert into penstock.run_steps
  (run_id, step, attempt, kind, name, source, status, started_at, seconds, read, landed, duplicates, quarantined, rows,
   error, fix)
values {values}
