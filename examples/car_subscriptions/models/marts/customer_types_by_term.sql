{{ config(
  scope='term_months',
  sources={'subscriptions': 'coalesce(term_months, 0)'},
  unique_key=['term_months', 'customer_type'],
) }}
with described as (
  select
    hk_customer,
    {#- 0: the term could not be read. #}
    coalesce(term_months, 0) as term_months,
    coalesce(customer_type_at_signing, {{ penstock.unknown_label() }}) as customer_type
  from {{ ref('subscriptions') }}
),

counted as (
  select term_months, customer_type, count(*) as subscriptions, count(distinct hk_customer) as customers
  from described
  group by term_months, customer_type
)

select
  term_months,
  customer_type,
  subscriptions,
  customers,
  {{ percent('subscriptions', 'cast(sum(subscriptions) over (partition by term_months) as bigint)') }} as share_percent
from counted
