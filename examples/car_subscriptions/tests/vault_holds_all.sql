{{ config(tags=['whole_table']) }}
-- Each key that was landed is in its hub once, and each state in its satellite.
select counted, landed, in_vault
from (
  select
    'cars' as counted,
    (
      select count(*) from (
        select car_id from {{ ref('stg_cars') }} where car_id is not null
        union
        select car_id from {{ ref('stg_subscriptions') }} where car_id is not null
      ) as named
    ) as landed,
    (select count(*) from {{ ref('hub_car') }} where record_source <> 'ghost') as in_vault
  union all
  select
    'states of customers',
    (
      select count(*) from (
        select distinct customer_id, updated_at, customer_type, city, zip_code, created_at
        from {{ ref('stg_customers') }}
        where customer_id is not null and updated_at is not null
      ) as states
    ),
    (select count(*) from {{ ref('sat_customer') }} where record_source <> 'ghost')
  union all
  select
    'subscriptions, with each customer and car',
    (
      select count(*) from (
        select distinct subscription_id, customer_id, car_id from {{ ref('stg_subscriptions') }}
      ) as linked
    ),
    (select count(*) from {{ ref('link_subscription') }} where record_source <> 'ghost')
) as counts
where landed <> in_vault
