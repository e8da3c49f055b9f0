{#- What tells who a customer is, apart from all else, so that it can be granted and erased on its own. #}
{{ penstock.satellite(
  key='hk_customer',
  business_key='customer_id',
  columns=['company_name', 'customer_name', 'email', 'phone'],
  applied='updated_at',
  sources={'relation': ref('stg_customers'), 'stream': 'customers'},
) }}
