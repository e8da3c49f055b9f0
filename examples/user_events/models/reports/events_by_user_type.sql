{{ config(
  unique_key=['event_date', 'user_type'],
  indexes=penstock.indexes(['event_date', 'user_type']),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

with touched as (
  {{ penstock.touched(ref('stg_user_events'), {'event_date': 'event_date'}, 'user_events', window) }}
),

report as (
  select
    event_date,
    coalesce(user_type, {{ penstock.unknown_label() }}) as user_type,
    cast(sum(records) as bigint) as total_events,
    count(distinct (user_id, event_type)) as total_unique_events
  from {{ ref('user_event') }}
  {% if is_incremental() -%}
  where event_date in (select event_date from touched)
  {%- endif %}
  group by 1, 2
)

{{ penstock.scoped('report', 'touched', 'event_date') }}
