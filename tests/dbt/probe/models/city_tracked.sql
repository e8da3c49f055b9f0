{{ config(unique_key=['user_id', 'valid_from']) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

with touched as (
  {{ penstock.touched(ref('changes'), {'user_id': 'user_id'}, 'user_events', window) }}
),

events as (
  {{ penstock.only(ref('changes'), 'user_id', 'touched') }}
),

versions as (
  {{ penstock.history(
    'events',
    key='user_id',
    sequence='seq',
    tracked=['name', 'city'],
    delete_when="op = 'DELETE'",
  ) }}
)

{{ penstock.scoped('versions', 'touched', 'user_id') }}
