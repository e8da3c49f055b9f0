{{ config(order_by='valid_from', unique_key=['user_id', 'valid_from'], fillfactor=85) }}
{{ penstock.history(
  ref('user_event'),
  key='user_id',
  sequence='received_at',
  tracked=['username', 'user_email', 'user_type', 'organization_name', 'plan_name'],
  delete_when="event_type = 'User Deleted'",
) }}
