-- question: How large is the fleet?
-- show: big number
-- about: At the end of the last day on which a car came or went.
-- unit: cars
select fleet_size
from {{ ref('fleet_by_day') }}
order by date_day desc
limit 1
