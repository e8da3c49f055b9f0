{{ penstock.link(
  key='link_rental_hk',
  hubs={'hub_customer_hk': 'renter', 'hub_car_hk': ['country', 'plate']},
  sources={'relation': source('raw', 'rentals'), 'stream': 'rentals'},
  required=['hub_customer_hk'],
  normalize={'plate': ['trim', 'upper', 'empty']},
) }}
