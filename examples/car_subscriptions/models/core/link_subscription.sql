{{ penstock.link(
  key='hk_link_subscription',
  hubs={'hk_subscription': 'subscription_id', 'hk_customer': 'customer_id', 'hk_car': 'car_id'},
  sources={'relation': ref('stg_subscriptions'), 'stream': 'subscriptions'},
) }}
