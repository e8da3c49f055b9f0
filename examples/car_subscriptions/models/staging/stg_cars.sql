select
  _pen_id,
  _pen_load,
  _pen_loaded_at,
  id as car_id,
  {{ penstock.trimmed('brand') }} as brand,
  {{ penstock.trimmed('model') }} as model,
  {{ penstock.trimmed('engine_type') }} as engine_type,
  {{ plausible_date('registration_date') }} as registered_on,
  {{ plausible_date('deregistration_date') }} as deregistered_on,
  price,
  updated as updated_at
from {{ source('raw', 'cars') }}
