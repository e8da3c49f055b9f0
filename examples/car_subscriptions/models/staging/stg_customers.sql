select
  _pen_id,
  _pen_load,
  _pen_loaded_at,
  id as customer_id,
  lower(nullif(trim(type), '')) as customer_type,
  nullif(trim(company_name), '') as company_name,
  nullif(trim(name), '') as customer_name,
  nullif(trim(email), '') as email,
  nullif(trim(phone), '') as phone,
  nullif(trim(city), '') as city,
  nullif(trim(zip_code), '') as zip_code,
  created as created_at,
  updated as updated_at
from {{ source('raw', 'customers') }}
