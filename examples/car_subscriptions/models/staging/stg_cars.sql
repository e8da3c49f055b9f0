select
  _pen_id,
  _pen_load,
  _pen_loaded_at,
  id as car_id,
  nullif(trim(brand), '') as brand,
  nullif(trim(model), '') as model,
  nullif(trim(engine_type), '') as engine_type,
  {{ plausible_date('registration_date') }} as registered_on,
  {{ plausible_date('deregistration_date') }} as deregistered_on,
  price,
  updated as updated_at
from {{ source('raw', 'cars') }}
