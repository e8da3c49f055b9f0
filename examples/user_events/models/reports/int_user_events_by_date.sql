{{ config(additive='records', order_by='event_date', unique_key=['event_date', 'group_key']) }}
{#- The events of each user on a day: a distinct count of users is a count of these rows. #}
{% set grouped_by = ['event_date', 'user_id', 'event_type'] %}
select
  {{ penstock.hash_key(grouped_by) }} as group_key,
  {{ grouped_by | join(', ') }},
  cast(sum(records) as bigint) as records
from {{ ref('user_event') }}
group by {{ grouped_by | join(', ') }}
