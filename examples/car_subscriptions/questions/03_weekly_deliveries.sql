-- question: How many cars are delivered each week?
-- show: bar
-- about: Cars by the week in which a subscription begins to have them, and the city they are delivered to.
-- by: city
-- unit: deliveries
select week_start, city, deliveries
from {{ ref('weekly_deliveries') }}
where deliveries > 0
order by week_start, city
