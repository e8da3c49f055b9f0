{{ config(unique_key='date_day') }}
with calendar as (
  select {{ penstock.days('first_day', 'last_day') }} as date_day
  from (select min(date_day) as first_day, max(date_day) as last_day from {{ ref('int_fleet_changes') }}) as spanned
  where first_day is not null
)

select
  calendar.date_day,
  coalesce(counted.infleeted, 0) as infleeted,
  coalesce(counted.defleeted, 0) as defleeted,
  cast(sum(coalesce(counted.infleeted, 0) - coalesce(counted.defleeted, 0)) over (order by calendar.date_day) as bigint)
    as fleet_size
from calendar
left join {{ ref('int_fleet_changes') }} as counted on counted.date_day = calendar.date_day
