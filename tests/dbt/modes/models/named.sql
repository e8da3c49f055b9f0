{#- Looked up through the events. #}
{{ config(
  scope='_pen_id',
  sources={'organization': {'through': 'event_log', 'on': 'organization_name'}},
  unique_key='_pen_id',
  indexes=[{'columns': ['organization_name']}],
) }}
select events._pen_id, events.user_id, events.organization_name, count(o.organization_key) as organizations,
  min(o.organization_key) as organization_key
from {{ ref('event_log') }} as events
left join {{ ref('organization') }} as o on o.organization_name = events.organization_name
group by events._pen_id, events.user_id, events.organization_name
