{{ config(
  unique_key=['month_start', 'brand', 'customer_type'],
  indexes=penstock.indexes(['month_start', 'brand', 'customer_type']),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}
{% set touched_by_loads = touched_subscriptions(window) %}

with subscribed as (
  select
    subscription_id, hk_customer, starts_on, ends_on,
    coalesce(brand, {{ penstock.unknown_label() }}) as brand
  from {{ ref('subscriptions') }}
  where starts_on is not null
),

touched as (
  select months.month_start, months.snapshot_at
  from {{ ref('int_months') }} as months
  {% if is_incremental() -%}
  where not exists (select 1 from {{ this }} as known where known.month_start = months.month_start)
    or exists (
      select 1
      from subscribed
      where subscribed.starts_on < months.month_start + interval '1 month'
        and subscribed.ends_on > months.month_start
        and subscribed.subscription_id in ({{ touched_by_loads }})
    )
  {%- endif %}
),

active as (
  select distinct touched.month_start, touched.snapshot_at, subscribed.brand, subscribed.hk_customer
  from touched
  inner join subscribed
    on subscribed.starts_on < touched.month_start + interval '1 month'
    and subscribed.ends_on > touched.month_start
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
),

report as (
  select
    month_start,
    brand,
    customer_type,
    customers,
    {{ percent('customers', 'cast(sum(customers) over (partition by month_start, brand) as bigint)') }} as share_percent
  from counted
)

{{ penstock.scoped('report', 'touched', 'month_start') }}
