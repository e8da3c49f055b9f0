update penstock.runs
set status = 'cut off', ended_at = $2
where status = 'running' and kind = 'schedule' and schedule = $1
  and run_id > coalesce((select s.last_run from penstock.schedules s where s.schedule = $1), 0)
