{{ config(
  materialized='penstock',
  scope='hk_subscription',
  sources={
    'customer_versions': {'through': 'link_subscription', 'on': 'hk_customer'},
    'int_car_states': {'through': 'link_subscription', 'on': 'hk_car'},
  },
  unique_key='subscription_id',
  indexes=[{'columns': ['starts_on']}],
) }}
{#- Every subscription with what the marts ask for: the brand of its car, what its customer was when it was signed, and
    where the car was delivered. Read from the vault once. #}
with hubs as (
  select hk_subscription, subscription_id
  from {{ ref('hub_subscription') }}
  where subscription_id is not null
),

terms as (
  {{ penstock.satellite_versions(ref('sat_subscription'), 'hk_subscription', ['term_months']) }}
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
  terms.term_months,
  cast(periods.valid_from at time zone 'UTC' as date) as starts_on,
  cast(periods.valid_to at time zone 'UTC' as date) as ends_on,
  cars.brand,
  signed.customer_type as customer_type_at_signing,
  delivered.city as city_at_delivery
from hubs
inner join {{ ref('link_subscription') }} as links on links.hk_subscription = hubs.hk_subscription
left join terms on terms.hk_subscription = hubs.hk_subscription and terms.is_current
left join periods on periods.hk_link_subscription = links.hk_link_subscription
left join {{ ref('int_car_states') }} as cars on cars.hk_car = links.hk_car
left join {{ ref('customer_versions') }} as signed
  on signed.hk_customer = links.hk_customer
  and signed.valid_from <= terms.valid_from
  and (signed.valid_to > terms.valid_from or signed.valid_to is null)
left join {{ ref('customer_versions') }} as delivered
  on delivered.hk_customer = links.hk_customer
  and delivered.valid_from <= periods.valid_from
  and (delivered.valid_to > periods.valid_from or delivered.valid_to is null)
