-- question: How many users leave each day, of a hundred that were there?
-- show: line
-- about: Users deleted on a day, as a percentage of those at its beginning and those created on it.
-- unit: "%"
select
  event_date,
  cast(round(100.0 * users_deleted / nullif(users_at_end + users_deleted, 0), 1) as numeric(5, 1)) as churn_percent
from {{ ref('fct_user_daily') }}
order by event_date
