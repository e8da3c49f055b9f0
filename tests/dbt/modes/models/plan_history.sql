-- versions of users
{#- What a version carries is of the last event in it. #}
{{ config(unique_key=['user_id', 'valid_from']) }}
{{ penstock.history(
  ref('event_log'),
  key='user_id',
  sequence=['received_at', 'event_type'],
  tracked=['plan_name'],
  carried=['username'],
  delete_when="event_type = 'User Deleted'",
) }}
-- as it is written