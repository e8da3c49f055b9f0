{{ penstock.satellite(
  key='hub_customer_hk',
  business_key='customer_id',
  columns=['name', 'city', 'credit'],
  applied='updated_at',
  sequence=['version'],
  delete_when='gone',
  sources={'relation': source('raw', 'customers'), 'stream': 'customers'},
) }}
