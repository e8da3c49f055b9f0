{{ config(
  scope=['valid_from', 'durable_user_key'],
  order_by='valid_from',
  unique_key=['valid_from', 'durable_user_key'],
  indexes=[{'columns': ['organization_name']}],
  fillfactor=85,
) }}
select
  {{ penstock.hash_key(['user_id', 'valid_from']) }} as user_key,
  durable_user_key,
  user_id,
  username,
  user_email,
  user_type,
  organization_name,
  plan_name,
  valid_from,
  valid_to,
  cast(valid_from as date) as valid_from_date,
  cast(valid_to as date) as valid_to_date,
  opened_by,
  closed_by,
  is_current
from {{ ref('user_snapshot') }}
