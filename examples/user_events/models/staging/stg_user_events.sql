select
  _pen_id,
  _pen_load,
  nullif(trim(id), '') as user_id,
  nullif(trim(event_type), '') as event_type,
  nullif(trim(username), '') as username,
  nullif(trim(user_email), '') as user_email,
  nullif(trim(user_type), '') as user_type,
  nullif(trim(organization_name), '') as organization_name,
  nullif(trim(plan_name), '') as plan_name,
  received_at,
  cast(received_at as date) as event_date
from {{ source('raw', 'user_events') }}
