{{ config(
  unique_key=['event_date'],
  indexes=penstock.indexes(['event_date']),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

with touched as (
  {{ penstock.touched(ref('stg_user_events'), {'event_date': 'event_date'}, 'user_events', window) }}
),

events as (
  {{ penstock.only(ref('user_event'), 'event_date', 'touched') }}
),

{#- Two steps: PostgreSQL would sort for a distinct count, and it hashes for groups. #}
said as (
  select event_date, user_id, event_type, sum(records) as records
  from events
  group by 1, 2, 3
),

report as (
  select event_date, cast(sum(records) as bigint) as total_events, count(*) as total_unique_events
  from said
  group by 1
)

{{ penstock.scoped('report', 'touched', 'event_date') }}
