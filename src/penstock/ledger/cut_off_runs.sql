update penstock.runs
set status = 'cut off', ended_at = $2
where status = 'running' and kind = 'schedule' and cast(detail as {text}) like $1
