{{ config(mode='whole', order_by='event_date', unique_key='event_date') }}
with spanned as (
  select min(event_date) as first_day, max(event_date) as last_day from {{ ref('user_event_day') }}
),

calendar as (
  select {{ penstock.days('first_day', 'last_day') }} as event_date
  from spanned
  where first_day is not null
)

select
  calendar.event_date,
  coalesce(counted.users_created, 0) as users_created,
  coalesce(counted.users_updated, 0) as users_updated,
  coalesce(counted.users_deleted, 0) as users_deleted,
  cast(sum(coalesce(counted.users_created, 0) - coalesce(counted.users_deleted, 0))
    over (order by calendar.event_date) as bigint) as users_at_end
from calendar
left join {{ ref('user_changes_daily') }} as counted on counted.event_date = calendar.event_date
