insert into penstock.schedules (schedule, spec, last_due, next_due, last_run, updated_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (schedule) do update set
  spec = excluded.spec,
  last_due = excluded.last_due,
  next_due = excluded.next_due,
  last_run = coalesce(excluded.last_run, penstock.schedules.last_run),
  updated_at = excluded.updated_at
