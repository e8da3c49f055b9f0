select
  alert,
  subject,
  state,
  first_failed_at as since,
  told_at,
  nullif(detail ->> 'trouble', '') as not_delivered,
  what
from penstock.alerts
where recovered_at is null
order by first_failed_at, alert, subject
