{{ config(
  additive=['total_events', 'total_unique_events'],
  order_by='event_date',
  unique_key=['event_date', 'user_type'],
) }}
select
  event_date,
  user_type,
  cast(sum(records) as bigint) as total_events,
  count(*) as total_unique_events
from {{ ref('int_user_events_by_user_type') }}
group by 1, 2
