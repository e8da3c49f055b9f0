update penstock.runs
set status = $2, ended_at = $3, detail = cast(cast($4 as text) as {json})
where run_id = $1
