{{ penstock.satellite(
  key='hk_car',
  business_key='car_id',
  columns=['brand', 'model', 'engine_type', 'registered_on', 'deregistered_on', 'price'],
  applied='updated_at',
  sources={'relation': ref('stg_cars'), 'stream': 'cars'},
) }}
