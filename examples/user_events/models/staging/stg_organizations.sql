select
  _pen_id,
  _pen_load,
  nullif(trim(organization_key), '') as organization_id,
  nullif(trim(organization_name), '') as organization_name,
  created_at
from {{ source('raw', 'organizations') }}
