{{ config(
  materialized='incremental', incremental_strategy='replacing', unique_key=['subscription_id'],
  indexes=penstock.indexes(['subscription_id'], [['starts_on']]),
) }}
{#- Every subscription with what the marts ask for: the brand of its car, what its customer was when it was signed, and
    where the car was delivered. Read from the vault once, for the subscriptions that new loads touch. #}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}
{% set touched_by_loads = touched_subscriptions(window) %}

with hubs as (
  select hk_subscription, subscription_id
  from {{ ref('hub_subscription') }}
  where subscription_id is not null
    {%- if is_incremental() %}
    and subscription_id in ({{ touched_by_loads }})
    {%- endif %}
),

links as (
  {{ penstock.only(ref('link_subscription'), 'hk_subscription', 'hubs') }}
),

agreed as (
  {{ penstock.only(ref('sat_subscription'), 'hk_subscription', 'hubs') }}
),

effective as (
  {{ penstock.only(ref('eff_subscription'), 'hk_subscription', 'hubs') }}
),

customers as (
  {{ penstock.only(ref('sat_customer'), 'hk_customer', 'links') }}
),

terms as (
  {{ penstock.satellite_versions('agreed', 'hk_subscription', ['term_months']) }}
),

periods as (
  {{ penstock.effectivity_periods('effective', 'hk_link_subscription', driving_key='hk_subscription', ends=true) }}
),

customer_versions as (
  {{ penstock.satellite_versions('customers', 'hk_customer', ['customer_type', 'city']) }}
),

described as (
  select
    hubs.subscription_id,
    hubs.hk_subscription,
    links.hk_customer,
    links.hk_car,
    terms.term_months,
    cast(periods.valid_from at time zone 'UTC' as date) as starts_on,
    cast(periods.valid_to at time zone 'UTC' as date) as ends_on,
    cars.brand,
    signed.customer_type as customer_type_at_signing,
    delivered.city as city_at_delivery
  from hubs
  inner join links on links.hk_subscription = hubs.hk_subscription
  left join terms on terms.hk_subscription = hubs.hk_subscription and terms.is_current
  left join periods on periods.hk_link_subscription = links.hk_link_subscription
  left join {{ ref('int_car_states') }} as cars on cars.hk_car = links.hk_car
  left join customer_versions as signed
    on signed.hk_customer = links.hk_customer
    and signed.valid_from <= terms.valid_from
    and (signed.valid_to > terms.valid_from or signed.valid_to is null)
  left join customer_versions as delivered
    on delivered.hk_customer = links.hk_customer
    and delivered.valid_from <= periods.valid_from
    and (delivered.valid_to > periods.valid_from or delivered.valid_to is null)
)

{{ penstock.scoped('described', 'hubs', 'subscription_id') }}
