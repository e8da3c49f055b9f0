-- question: What happens on each day?
-- show: bar
-- about: Events by their type.
-- by: event_type
-- unit: events
select event_date, event_type, cast(sum(events) as bigint) as events
from {{ ref('user_events_daily') }}
group by event_date, event_type
order by event_date, event_type
