{{ config(tags=['whole_table']) }}
-- The same events, counted by date alone, by organisation, by user type, and by organisation and event type.
select event_date, sum(by_date), sum(by_organization), sum(by_user_type), sum(by_type)
from (
  select event_date, total_events as by_date, 0 as by_organization, 0 as by_user_type, 0 as by_type
  from {{ ref('events_by_date') }}
  union all
  select event_date, 0, total_events, 0, 0 from {{ ref('events_by_organization') }}
  union all
  select event_date, 0, 0, total_events, 0 from {{ ref('events_by_user_type') }}
  union all
  select event_date, 0, 0, 0, events from {{ ref('user_events_daily') }}
) as counted
group by event_date
having sum(by_date) <> sum(by_organization) or sum(by_date) <> sum(by_user_type) or sum(by_date) <> sum(by_type)
