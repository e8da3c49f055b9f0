{{ config(order_by='valid_from', unique_key=['durable_user_key', 'valid_from'], fillfactor=85) }}
{#- By the durable key: an index by it is half as large as one by the id, which comes along. #}
{{ penstock.history(
  ref('user_event'),
  key='durable_user_key',
  sequence='received_at',
  tracked=['user_id', 'username', 'user_email', 'user_type', 'organization_name', 'plan_name'],
  delete_when="event_type = 'User Deleted'",
) }}
