-- question: Who comes, changes and goes?
-- show: table
select event_date, users_created, users_updated, users_deleted, users_at_end
from {{ ref('fct_user_daily') }}
order by event_date desc
