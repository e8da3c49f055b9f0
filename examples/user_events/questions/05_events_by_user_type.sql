-- question: What kind of users are active?
-- show: pie
-- unit: events
select user_type, cast(sum(total_events) as bigint) as events
from {{ ref('events_by_user_type') }}
group by user_type
order by events desc, user_type
