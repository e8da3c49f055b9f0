-- question: Which city's deliveries grew most in each week?
-- show: table
-- about: In cars, since the week before. A week in which no city's deliveries grew is not there.
select week_start, city, deliveries, deliveries_before, increase
from {{ ref('weekly_greatest_increase') }}
order by week_start desc
