{{ config(
  additive=['events', 'distinct_users'],
  order_by='event_date',
  unique_key=['event_date', 'organization_name', 'event_type'],
) }}
select
  event_date,
  organization_name,
  coalesce(event_type, {{ penstock.unknown_label() }}) as event_type,
  cast(sum(records) as bigint) as events,
  count(*) as distinct_users
from {{ ref('int_user_events_by_organization') }}
group by 1, 2, 3
