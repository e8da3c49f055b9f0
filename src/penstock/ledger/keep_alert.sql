insert into penstock.alerts
  (alert, subject, state, what, first_failed_at, told, told_at, delivered_at, recovered_at, updated_at, detail)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, cast(cast($11 as text) as {json}))
on conflict (alert, subject) do update set
  state = excluded.state,
  what = excluded.what,
  first_failed_at = excluded.first_failed_at,
  told = excluded.told,
  told_at = excluded.told_at,
  delivered_at = excluded.delivered_at,
  recovered_at = excluded.recovered_at,
  updated_at = excluded.updated_at,
  detail = excluded.detail
