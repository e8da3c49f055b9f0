{{ config(
  materialized='penstock',
  scope='hk_subscription',
  sources={
    'customer_versions': {'through': 'link_subscription', 'on': 'hk_customer'},
    'int_car_states': {'through': 'link_subscription', 'on': 'hk_car'},
  },
  unique_key=['subscription_id', 'starts_on'],
  indexes=[{'columns': ['starts_on']}],
) }}
{#- What a subscription had when: a customer and a car from a first day on. It has one of each at a time, so that a car
    that takes another's place begins a period of its own, and ends the one before. #}
with hubs as (
  select hk_subscription, subscription_id
  from {{ ref('hub_subscription') }}
  where subscription_id is not null
),

periods as (
  {{ penstock.effectivity_periods(
    ref('eff_subscription'), 'hk_link_subscription', driving_key='hk_subscription', ends=true
  ) }}
)

select
  hubs.subscription_id,
  hubs.hk_subscription,
  links.hk_customer,
  links.hk_car,
  cast({{ penstock.in_utc('periods.valid_from') }} as date) as starts_on,
  cast({{ penstock.in_utc('periods.valid_to') }} as date) as ends_on,
  cars.brand,
  delivered.city as city_at_delivery
from hubs
inner join {{ ref('link_subscription') }} as links on links.hk_subscription = hubs.hk_subscription
{#- A link has one subscription: by that, too, so that all that a row is made of is seen to be of its scope. #}
inner join periods
  on periods.hk_subscription = hubs.hk_subscription
  and periods.hk_link_subscription = links.hk_link_subscription
left join {{ ref('int_car_states') }} as cars on cars.hk_car = links.hk_car
left join {{ ref('customer_versions') }} as delivered
  on delivered.hk_customer = links.hk_customer
  and delivered.valid_from <= periods.valid_from
  and (delivered.valid_to > periods.valid_from or delivered.valid_to is null)
