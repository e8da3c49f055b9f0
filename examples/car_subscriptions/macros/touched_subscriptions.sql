{% macro touched_subscriptions(window) -%}
  {#- The subscriptions that new loads touch: those that landed, and those whose customer or car has changed. -#}
  select subscription_id
  from {{ ref('stg_subscriptions') }}
  where {{ penstock.landed_in('subscriptions', window) }}
  union
  select subscription_id
  from {{ ref('stg_subscriptions') }}
  where customer_id in (
    select customer_id from {{ ref('stg_customers') }} where {{ penstock.landed_in('customers', window) }}
  )
  union
  select subscription_id
  from {{ ref('stg_subscriptions') }}
  where car_id in (select car_id from {{ ref('stg_cars') }} where {{ penstock.landed_in('cars', window) }})
{%- endmacro %}
