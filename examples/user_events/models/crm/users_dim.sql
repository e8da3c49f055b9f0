{{ config(
  scope=['valid_from', 'durable_user_key'],
  sources={'organization_by_name': {'through': 'dim_user', 'on': 'organization_name'}},
  order_by='valid_from',
  unique_key=['valid_from', 'durable_user_key'],
  fillfactor=85,
) }}
select
  dim_user.user_key,
  dim_user.durable_user_key,
  dim_user.user_id,
  dim_user.username,
  dim_user.user_email,
  dim_user.user_type,
  coalesce(organizations.organization_key, {{ penstock.unknown_key() }}) as organization_key,
  organizations.organization_id,
  dim_user.organization_name,
  dim_user.plan_name,
  dim_user.valid_from,
  dim_user.valid_to,
  dim_user.is_current
from {{ ref('dim_user') }} as dim_user
left join {{ ref('organization_by_name') }} as organizations
  on organizations.organization_name = dim_user.organization_name
