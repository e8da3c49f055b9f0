{{ config(
  unique_key=['date_day'],
  indexes=penstock.indexes(['date_day']),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}
{% set arrived = ref('stg_cars') %}

with cars as (
  {#- A car that is deregistered before it is registered was never there. #}
  select registered_on, case when deregistered_on >= registered_on then deregistered_on end as deregistered_on
  from {{ ref('int_car_states') }}
  where registered_on is not null
),

{#- A day changes all days after it: they follow from the first day on that a touched car was ever said to come or go. #}
first_touched as (
  {% if is_incremental() -%}
  select min(least(registered_on, deregistered_on)) as first_day
  from {{ arrived }}
  where car_id in ({{ penstock.touched(arrived, {'car_id': 'car_id'}, 'cars', window) }})
  {%- else -%}
  select min(registered_on) as first_day from cars
  {%- endif %}
),

changes as (
  select registered_on as date_day, 1 as infleeted, 0 as defleeted from cars
  union all
  select deregistered_on, 0, 1 from cars where deregistered_on is not null
),

counted as (
  select date_day, sum(infleeted) as infleeted, sum(defleeted) as defleeted from changes group by date_day
),

calendar as (
  select {{ penstock.days('first_day', 'last_day') }} as date_day
  from (select min(date_day) as first_day, max(date_day) as last_day from counted having count(*) > 0) as spanned
),

daily as (
  select
    calendar.date_day,
    cast(coalesce(counted.infleeted, 0) as bigint) as infleeted,
    cast(coalesce(counted.defleeted, 0) as bigint) as defleeted,
    cast(sum(coalesce(counted.infleeted, 0) - coalesce(counted.defleeted, 0)) over (order by calendar.date_day) as bigint)
      as fleet_size
  from calendar
  left join counted on counted.date_day = calendar.date_day
),

report as (
  select daily.*
  from daily
  inner join first_touched on daily.date_day >= first_touched.first_day
),

touched as (
  select date_day from report
  {% if is_incremental() -%}
  union
  select known.date_day
  from {{ this }} as known
  inner join first_touched on known.date_day >= first_touched.first_day
  {%- endif %}
)

{{ penstock.scoped('report', 'touched', 'date_day') }}
