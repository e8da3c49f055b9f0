{{ config(
  unique_key=['term_months', 'customer_type'],
  indexes=penstock.indexes(['term_months', 'customer_type']),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}
{% set touched_by_loads = touched_subscriptions(window) %}

with described as (
  select
    subscription_id,
    hk_customer,
    {#- 0: the term could not be read. #}
    coalesce(term_months, 0) as term_months,
    coalesce(customer_type_at_signing, {{ penstock.unknown_label() }}) as customer_type
  from {{ ref('subscriptions') }}
),

touched as (
  select distinct term_months
  from described
  {% if is_incremental() -%}
  where subscription_id in ({{ touched_by_loads }})
  {%- endif %}
),

counted as (
  select term_months, customer_type, count(*) as subscriptions, count(distinct hk_customer) as customers
  from described
  where term_months in (select term_months from touched)
  group by term_months, customer_type
),

report as (
  select
    term_months,
    customer_type,
    subscriptions,
    customers,
    {{ percent('subscriptions', 'cast(sum(subscriptions) over (partition by term_months) as bigint)') }} as share_percent
  from counted
)

{{ penstock.scoped('report', 'touched', 'term_months') }}
