{{ config(materialized='view') }}
-- The months from the first subscription's start up to the one in which the last was signed, each with its last second.
select
  cast(month_start as date) as month_start,
  {{ midnight("month_start + interval '1 month'") }} - interval '1 second' as snapshot_at
from (
  select {{ penstock.months('first_month', 'last_month') }} as month_start
  from (
    select
      date_trunc('month', min(starts_on)) as first_month,
      date_trunc('month', {{ penstock.in_utc('max(created_at)') }}) as last_month
    from {{ ref('stg_subscriptions') }}
  ) as spanned
  where first_month is not null
) as calendar
