-- question: How does the fleet grow?
-- show: area
-- about: Cars registered and not yet deregistered, at the end of each day.
-- unit: cars
select date_day, fleet_size
from {{ ref('fleet_by_day') }}
order by date_day
