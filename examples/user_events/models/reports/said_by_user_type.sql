{{ config(additive='records', order_by='event_date', unique_key=['event_date', 'said_key']) }}
{#- What each user said on a day: a distinct count is a count of these. #}
{% set said = ['event_date', 'user_type', 'user_id', 'event_type'] %}
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
  {{ penstock.hash_key(said) }} as said_key,
  {{ said | join(', ') }},
  cast(sum(records) as bigint) as records
from events
group by {{ said | join(', ') }}
