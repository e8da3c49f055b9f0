{{ config(additive='records', order_by='event_date', unique_key=['event_date', 'group_key']) }}
{#- The events of each user on a day: a distinct count of users is a count of these rows. #}
{% set grouped_by = ['event_date', 'user_type', 'user_id', 'event_type'] %}
with events as (
  select
    event_date,
    coalesce(user_type, {{ penstock.unknown_label() }}) as user_type,
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
