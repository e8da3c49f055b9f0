{{ config(
  unique_key=['week_start', 'city'],
  indexes=penstock.indexes(['week_start', 'city']),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}
{% set touched_by_loads = touched_subscriptions(window) %}

with delivered as (
  select
    subscription_id,
    cast(date_trunc('week', starts_on) as date) as week_start,
    coalesce(city_at_delivery, {{ penstock.unknown_label() }}) as city
  from {{ ref('subscriptions') }}
  where starts_on is not null
),

{#- A week is compared with the one before: what changes one changes the next. #}
touched as (
  select distinct cast(week_start + interval '7 days' * later as date) as week_start
  from delivered
  cross join (select 0 as later union all select 1) as weeks
  {% if is_incremental() -%}
  where subscription_id in ({{ touched_by_loads }})
  {%- endif %}
),

counted as (
  select week_start, city, count(*) as deliveries
  from delivered
  where week_start in (select week_start from touched)
    or cast(week_start + interval '7 days' as date) in (select week_start from touched)
  group by week_start, city
),

compared as (
  select week_start, city, sum(deliveries) as deliveries, sum(before) as deliveries_before
  from (
    select week_start, city, deliveries, 0 as before from counted
    union all
    select cast(week_start + interval '7 days' as date), city, 0, deliveries from counted
  ) as both_weeks
  where week_start in (select week_start from touched)
    and week_start in (select week_start from counted)
  group by week_start, city
),

report as (
  select
    week_start,
    city,
    cast(deliveries as bigint) as deliveries,
    cast(deliveries_before as bigint) as deliveries_before,
    cast(deliveries - deliveries_before as bigint) as increase,
    deliveries > deliveries_before
      and row_number() over (partition by week_start order by deliveries - deliveries_before desc, {{ by_bytes("city") }}) = 1
      as is_greatest_increase
  from compared
)

{{ penstock.scoped('report', 'touched', 'week_start') }}
