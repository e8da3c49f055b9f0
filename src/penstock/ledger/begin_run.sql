insert into penstock.runs
  (run_id, kind, started_at, status, upper_seq, parent_id, schedule, layer, fingerprint, whole, selected, detail)
values ($1, $2, $3, 'running', $4, $5, $6, $7, $8, $9, $10, cast(cast($11 as text) as {json}))
