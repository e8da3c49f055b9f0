{{ config(
  additive='records',
  order_by='received_at',
  unique_key=['received_at', 'user_event_id'],
  indexes=[{'columns': ['durable_user_key', 'received_at']}],
) }}
{% set status = [
  'user_id', 'event_type', 'username', 'user_email', 'user_type', 'organization_name', 'plan_name', 'received_at'
] %}
{#- A status said again by another record (null for an empty string) is one row with one record more. #}
select
  {{ penstock.hash_key(status) }} as user_event_id,
  {{ penstock.hash_key(['user_id']) }} as durable_user_key,
  {{ status | join(', ') }},
  event_date,
  count(*) as records
from {{ ref('stg_user_events') }}
where user_id is not null
  and received_at is not null
group by {{ status | join(', ') }}, event_date
