select
  _pen_id,
  _pen_load,
  {{ penstock.trimmed('organization_key') }} as organization_id,
  {{ penstock.trimmed('organization_name') }} as organization_name,
  {{ penstock.instant(source('raw', 'organizations'), 'created_at') }} as created_at
from {{ source('raw', 'organizations') }}
