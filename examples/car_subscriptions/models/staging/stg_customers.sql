select
  _pen_id,
  _pen_load,
  _pen_loaded_at,
  id as customer_id,
  {{ penstock.lowered(penstock.trimmed('type')) }} as customer_type,
  {{ penstock.trimmed('company_name') }} as company_name,
  {{ penstock.trimmed('name') }} as customer_name,
  {{ penstock.trimmed('email') }} as email,
  {{ penstock.trimmed('phone') }} as phone,
  {{ penstock.trimmed('city') }} as city,
  {{ penstock.trimmed('zip_code') }} as zip_code,
  created as created_at,
  updated as updated_at
from {{ source('raw', 'customers') }}
