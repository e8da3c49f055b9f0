{{ penstock.satellite(
  key='hk_customer',
  business_key='customer_id',
  columns=['customer_type', 'city', 'zip_code', 'created_at'],
  applied='updated_at',
  sources={'relation': ref('stg_customers'), 'stream': 'customers'},
) }}
