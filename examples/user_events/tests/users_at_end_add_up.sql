{{ config(tags=['whole_table']) }}
-- A day's end is the end of the day before, with those who came and without those who went; and on the last day it is
-- the number of users who exist.
select event_date, users_at_end, expected
from (
  select event_date, users_at_end,
    coalesce(lag(users_at_end) over (order by event_date), 0) + users_created - users_deleted as expected
  from {{ ref('fct_user_daily') }}
) as days
where users_at_end <> expected

union all

select last_day.event_date, last_day.users_at_end, existing.users
from (select event_date, users_at_end from {{ ref('fct_user_daily') }} order by event_date desc limit 1) as last_day
cross join (select count(*) as users from {{ ref('dim_user') }} where is_current) as existing
where last_day.users_at_end <> existing.users
