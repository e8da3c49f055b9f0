{{ penstock.hub(
  key='hub_car_hk',
  business_key=['country', 'plate'],
  sources={'relation': source('raw', 'rentals'), 'stream': 'rentals'},
  normalize={'plate': ['trim', 'upper', 'empty']},
) }}
