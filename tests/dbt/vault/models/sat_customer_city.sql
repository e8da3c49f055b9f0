{{ penstock.satellite(
  key='hub_customer_hk',
  business_key='customer_id',
  columns=['city'],
  applied='updated_at',
  sources={'relation': source('raw', 'customers'), 'stream': 'customers'},
) }}
