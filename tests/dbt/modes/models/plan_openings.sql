{#- What a version carries is of the event that opened it. #}
{{ config(unique_key=['user_id', 'organization_name', 'valid_from']) }}
{{ penstock.history(
  ref('event_log'),
  key=['user_id', 'organization_name'],
  sequence='received_at',
  tracked=['plan_name'],
  carried=['username'],
  carried_from='first',
) }}
