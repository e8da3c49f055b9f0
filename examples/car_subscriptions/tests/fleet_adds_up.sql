{{ config(tags=['whole_table']) }}
-- A day's fleet is that of the day before, with the cars that came and without those that went, and never less than none.
select date_day, fleet_size, expected
from (
  select date_day, fleet_size,
    coalesce(lag(fleet_size) over (order by date_day), 0) + infleeted - defleeted as expected
  from {{ ref('fleet_by_day') }}
) as days
where fleet_size <> expected or fleet_size < 0
