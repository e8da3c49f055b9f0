insert into penstock.runs (run_id, kind, started_at, status, upper_seq, parent_id, detail)
values ($1, $2, $3, 'running', $4, $5, cast(cast($6 as text) as {json}))
