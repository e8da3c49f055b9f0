{{ penstock.effectivity_satellite(
  key='link_rental_hk',
  hubs={'hub_customer_hk': 'renter', 'hub_car_hk': ['country', 'plate']},
  applied='said_at',
  starts='since',
  ends='until',
  sources={'relation': source('raw', 'rentals'), 'stream': 'rentals'},
  required=['hub_customer_hk'],
  normalize={'plate': ['trim', 'upper', 'empty']},
) }}
