-- question: How many users are there now?
-- show: big number
-- about: At the end of the last day that has events.
-- unit: users
select users_at_end
from {{ ref('fct_user_daily') }}
order by event_date desc
limit 1
