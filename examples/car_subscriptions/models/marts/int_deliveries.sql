{{ config(additive='deliveries', unique_key=['week_start', 'city']) }}
-- Cars delivered a week and city.
with delivered as (
  select
    cast(date_trunc('week', starts_on) as date) as week_start,
    coalesce(city_at_delivery, {{ penstock.unknown_label() }}) as city
  from {{ ref('subscription_periods') }}
)

select week_start, city, count(*) as deliveries
from delivered
group by week_start, city
