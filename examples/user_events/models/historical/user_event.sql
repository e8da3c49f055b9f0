{{ config(
  unique_key=['user_event_id'],
  indexes=penstock.indexes(['user_event_id'], [['durable_user_key', 'received_at'], ['event_date']]),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}
{% set status = [
  'user_id', 'event_type', 'username', 'user_email', 'user_type', 'organization_name', 'plan_name', 'received_at'
] %}

with arrived as (
  select
    {{ penstock.hash_key(status) }} as user_event_id,
    {{ penstock.hash_key(['user_id']) }} as durable_user_key,
    {{ status | join(', ') }},
    event_date,
    count(*) as records
  from {{ ref('stg_user_events') }}
  where user_id is not null
    and received_at is not null
    and {{ penstock.landed_in('user_events', window) }}
  group by {{ status | join(', ') }}, event_date
),

counted as (
  select
    arrived.user_event_id,
    arrived.durable_user_key,
    {%- for column in status %}
    arrived.{{ column }},
    {%- endfor %}
    arrived.event_date,
    {#- A status said again by another record (null for an empty string) is one row with one record more. #}
    arrived.records{% if window.after > 0 %} + coalesce(known.records, 0){% endif %} as records
  from arrived
  {% if window.after > 0 -%}
  left join {{ this }} as known on known.user_event_id = arrived.user_event_id
  {%- endif %}
)

{{ penstock.scoped('counted', 'arrived', 'user_event_id', order_by='received_at') }}
