{{ config(
  unique_key=['event_date', 'organization_name', 'event_type'],
  indexes=penstock.indexes(['event_date', 'organization_name', 'event_type']),
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
  select
    event_date,
    coalesce(organization_name, {{ penstock.unknown_label() }}) as organization_name,
    coalesce(event_type, {{ penstock.unknown_label() }}) as event_type,
    user_id,
    sum(records) as records
  from events
  group by 1, 2, 3, 4
),

report as (
  select
    event_date,
    organization_name,
    event_type,
    cast(sum(records) as bigint) as events,
    count(*) as distinct_users
  from said
  group by 1, 2, 3
)

{{ penstock.scoped('report', 'touched', 'event_date') }}
