{{ config(unique_key=['month_start', 'brand', 'customer_type']) }}
{#- A month's end asks for all subscriptions that were active then: read whole. #}
with subscribed as (
  select
    subscription_id, hk_customer, starts_on, ends_on,
    coalesce(brand, {{ penstock.unknown_label() }}) as brand
  from {{ ref('subscription_periods') }}
),

months as (
  select month_start, snapshot_at from {{ ref('int_months') }}
),

active as (
  select distinct months.month_start, months.snapshot_at, subscribed.brand, subscribed.hk_customer
  from months
  inner join subscribed
    on subscribed.starts_on < months.month_start + interval '1 month'
    and subscribed.ends_on > months.month_start
),

typed as (
  select
    active.month_start,
    active.brand,
    coalesce(customers.customer_type, {{ penstock.unknown_label() }}) as customer_type
  from active
  inner join {{ ref('pit_customer') }} as points
    on points.hk_customer = active.hk_customer and points.snapshot_at = active.snapshot_at
  left join {{ ref('sat_customer') }} as customers
    on customers.hk_customer = points.sat_customer_hk
    and customers.applied_at = points.sat_customer_applied_at
    and customers.hash_diff = points.sat_customer_hash_diff
),

counted as (
  select month_start, brand, customer_type, count(*) as customers
  from typed
  group by month_start, brand, customer_type
)

select
  month_start,
  brand,
  customer_type,
  customers,
  {{ percent('customers', 'cast(sum(customers) over (partition by month_start, brand) as bigint)') }} as share_percent
from counted
