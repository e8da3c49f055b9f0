{{ config(
  additive=['total_events', 'total_unique_events'],
  order_by='event_date',
  unique_key=['event_date', 'organization_name'],
) }}
select
  event_date,
  organization_name,
  cast(sum(records) as bigint) as total_events,
  count(*) as total_unique_events
from {{ ref('int_user_events_by_organization') }}
group by 1, 2
