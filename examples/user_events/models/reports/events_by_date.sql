{{ config(
  additive=['total_events', 'total_unique_events'],
  order_by='event_date',
  unique_key='event_date',
) }}
select
  event_date,
  cast(sum(records) as bigint) as total_events,
  count(*) as total_unique_events
from {{ ref('int_user_events_by_date') }}
group by 1
