{{ config(additive='records', order_by='event_date', unique_key=['event_date', 'group_key']) }}
{#- The events of each user on a day: a distinct count of users is a count of these rows. #}
{% set grouped_by = ['event_date', 'organization_name', 'user_id', 'event_type'] %}
with events as (
  select
    event_date,
    coalesce(organization_name, {{ penstock.unknown_label() }}) as organization_name,
    user_id,
    event_type,
    records
  from {{ ref('user_event') }}
)

select
  {{ penstock.hash_key(grouped_by) }} as group_key,
  {{ grouped_by | join(', ') }},
  cast(sum(records) as bigint) as records
from events
group by {{ grouped_by | join(', ') }}
