{{ config(unique_key=['week_start', 'city']) }}
{#- A week is compared with the one before. Read whole: it is small. #}
with counted as (
  select week_start, city, deliveries from {{ ref('int_deliveries') }}
),

compared as (
  select week_start, city, sum(deliveries) as deliveries, sum(before) as deliveries_before
  from (
    select week_start, city, deliveries, 0 as before from counted
    union all
    select cast(week_start + interval '7 days' as date), city, 0, deliveries from counted
  ) as both_weeks
  where week_start in (select week_start from counted)
  group by week_start, city
)

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
