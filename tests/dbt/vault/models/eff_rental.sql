{{ penstock.effectivity_satellite(
  key='link_rental_hk',
  hubs={'hub_customer_hk': 'renter', 'hub_car_hk': ['country', 'plate']},
  driving_key='hub_car_hk',
  applied='since',
  delete_when='returned',
  sources={'relation': source('raw', 'rentals'), 'stream': 'rentals'},
  required=['hub_customer_hk'],
  normalize={'plate': ['trim', 'upper', 'empty']},
) }}
