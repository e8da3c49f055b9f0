update penstock.runs
set status = $2, ended_at = $3, detail = {detail}
where run_id = $1
