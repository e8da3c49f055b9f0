-- The subscriptions that have a period: a start that is a date, and a term that is a number of months.
select
  _pen_id,
  _pen_load,
  _pen_loaded_at,
  subscription_id,
  customer_id,
  car_id,
  {{ midnight('starts_on') }} as starts_at,
  {{ midnight('ends_on') }} as ends_at,
  created_at
from {{ ref('stg_subscriptions') }}
where starts_on is not null and ends_on is not null
