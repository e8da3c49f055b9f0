{% macro touched_subscriptions(window) -%}
  {#- The subscriptions that new loads touch: those that landed, and those whose customer or car has changed. -#}
  {%- set subscriptions = ref('stg_subscriptions') -%}
  {{ penstock.touched(subscriptions, {'subscription_id': 'subscription_id'}, 'subscriptions', window) }}
  union
  select subscription_id
  from {{ subscriptions }}
  where customer_id in (
    {{ penstock.touched(ref('stg_customers'), {'customer_id': 'customer_id'}, 'customers', window) }}
  )
  union
  select subscription_id
  from {{ subscriptions }}
  where car_id in ({{ penstock.touched(ref('stg_cars'), {'car_id': 'car_id'}, 'cars', window) }})
{%- endmacro %}
