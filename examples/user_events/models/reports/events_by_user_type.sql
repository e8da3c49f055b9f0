{{ config(
  unique_key=['event_date', 'user_type'],
  indexes=penstock.indexes(['event_date', 'user_type']),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

with touched as (
  {{ penstock.touched(ref('stg_user_events'), {'event_date': 'event_date'}, 'user_events', window) }}
),

events as (
  {{ penstock.only(ref('user_event'), 'event_date', 'touched') }}
),

report as (
  select
    event_date,
    coalesce(user_type, {{ penstock.unknown_label() }}) as user_type,
    cast(sum(records) as bigint) as total_events,
    count(distinct (user_id, event_type)) as total_unique_events
  from events
  group by 1, 2
)

{{ penstock.scoped('report', 'touched', 'event_date') }}
