{{ config(
  unique_key=['user_id', 'valid_from'],
  indexes=penstock.indexes(['user_id', 'valid_from']),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

with touched as (
  {{ penstock.touched(
    ref('stg_user_events'),
    {'user_id': 'user_id', 'durable_user_key': penstock.hash_key(['user_id'])},
    'user_events',
    window,
  ) }}
),

events as (
  {{ penstock.only(ref('user_event'), 'durable_user_key', 'touched') }}
),

versions as (
  {{ penstock.history(
    'events',
    key='user_id',
    sequence='received_at',
    tracked=['username', 'user_email', 'user_type', 'organization_name', 'plan_name'],
    delete_when="event_type = 'User Deleted'",
  ) }}
)

{{ penstock.scoped('versions', 'touched', 'user_id', order_by='valid_from') }}
