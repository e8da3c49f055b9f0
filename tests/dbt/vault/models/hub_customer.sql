{{ penstock.hub(
  key='hub_customer_hk',
  business_key='customer_id',
  sources=[
    {'relation': source('raw', 'customers'), 'stream': 'customers'},
    {'relation': source('raw', 'rentals'), 'stream': 'rentals', 'columns': {'customer_id': 'renter'}},
  ],
) }}
