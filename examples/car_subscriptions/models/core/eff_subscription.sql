{#- The periods of the link. A subscription has one customer and one car at a time: it is the driving key. #}
{{ penstock.effectivity_satellite(
  key='hk_link_subscription',
  hubs={'hk_subscription': 'subscription_id', 'hk_customer': 'customer_id', 'hk_car': 'car_id'},
  driving_key='hk_subscription',
  applied='created_at',
  starts='starts_at',
  ends='ends_at',
  sources={'relation': ref('stg_subscription_periods'), 'stream': 'subscriptions'},
) }}
