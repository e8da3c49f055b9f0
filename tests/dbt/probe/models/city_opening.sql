{{ config(unique_key=['user_id', 'valid_from']) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

with touched as (
  {{ penstock.touched(ref('changes'), {'user_id': 'user_id'}, 'user_events', window) }}
),

events as (
  select * from {{ ref('changes') }}
  {% if is_incremental() -%}
  where user_id in (select user_id from touched)
  {%- endif %}
),

versions as (
  {{ penstock.history(
    'events',
    key='user_id',
    sequence='seq',
    tracked=['name'], carried=['city'], carried_from='first',
    delete_when="op = 'DELETE'",
  ) }}
)

{{ penstock.scoped('versions', 'touched', 'user_id') }}
