{{ config(materialized='view') }}
-- The city whose deliveries grew most, in cars and not in per cent, since the week before; of several, the first by name.
-- A week in which no city's deliveries grew has none.
select week_start, city, deliveries, deliveries_before, increase
from {{ ref('weekly_deliveries') }}
where is_greatest_increase
