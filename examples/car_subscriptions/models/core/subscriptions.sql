{{ config(
  materialized='penstock',
  scope='hk_subscription',
  sources={'customer_versions': {'through': 'link_subscription', 'on': 'hk_customer'}},
  unique_key='subscription_id',
) }}
{#- Every subscription once: its customer and its car as of its last period, or of any that it was linked to when it has
    none, and what that customer was when it was signed. #}
with hubs as (
  select hk_subscription, subscription_id
  from {{ ref('hub_subscription') }}
  where subscription_id is not null
),

terms as (
  {{ penstock.satellite_versions(ref('sat_subscription'), 'hk_subscription', ['term_months']) }}
),

spans as (
  select hk_subscription, min(starts_on) as starts_on, max(ends_on) as ends_on
  from {{ ref('subscription_periods') }}
  group by hk_subscription
),

links as (
  select
    linked.hk_subscription,
    linked.hk_customer,
    linked.hk_car,
    row_number() over (
      partition by linked.hk_subscription order by periods.starts_on desc nulls last, linked.hk_link_subscription
    ) as place
  from {{ ref('link_subscription') }} as linked
  left join {{ ref('subscription_periods') }} as periods
    on periods.hk_subscription = linked.hk_subscription
    and periods.hk_customer = linked.hk_customer
    and periods.hk_car = linked.hk_car
)

select
  hubs.subscription_id,
  hubs.hk_subscription,
  links.hk_customer,
  links.hk_car,
  terms.term_months,
  spans.starts_on,
  spans.ends_on,
  signed.customer_type as customer_type_at_signing
from hubs
inner join links on links.hk_subscription = hubs.hk_subscription and links.place = 1
left join terms on terms.hk_subscription = hubs.hk_subscription and terms.is_current
left join spans on spans.hk_subscription = hubs.hk_subscription
left join {{ ref('customer_versions') }} as signed
  on signed.hk_customer = links.hk_customer
  and signed.valid_from <= terms.valid_from
  and (signed.valid_to > terms.valid_from or signed.valid_to is null)
