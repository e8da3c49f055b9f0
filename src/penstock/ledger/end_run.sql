update penstock.runs
set
  status = $2, ended_at = $3, schedule = $4, layer = $5, fingerprint = $6, whole = $7, selected = $8,
  detail = cast(cast($9 as text) as {json})
where run_id = $1
