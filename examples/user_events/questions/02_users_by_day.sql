-- question: How many users are there at the end of each day?
-- show: area
-- unit: users
select event_date, users_at_end
from {{ ref('fct_user_daily') }}
order by event_date
