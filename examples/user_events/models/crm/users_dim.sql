{{ config(
  scope=['user_id', 'valid_from'],
  sources={'organization_by_name': {'through': 'dim_user', 'on': 'organization_name'}},
  order_by='valid_from',
  unique_key=['user_id', 'valid_from'],
  indexes=[{'columns': ['user_key'], 'unique': true}],
  fillfactor=85,
) }}
select
  users.user_key,
  users.durable_user_key,
  users.user_id,
  users.username,
  users.user_email,
  users.user_type,
  coalesce(organizations.organization_key, {{ penstock.unknown_key() }}) as organization_key,
  organizations.organization_id,
  users.organization_name,
  users.plan_name,
  users.valid_from,
  users.valid_to,
  users.is_current
from {{ ref('dim_user') }} as users
left join {{ ref('organization_by_name') }} as organizations
  on organizations.organization_name = users.organization_name
