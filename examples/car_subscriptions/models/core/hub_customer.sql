{{ penstock.hub(key='hk_customer', business_key='customer_id', sources=[
  {'relation': ref('stg_customers'), 'stream': 'customers'},
  {'relation': ref('stg_subscriptions'), 'stream': 'subscriptions'},
]) }}
