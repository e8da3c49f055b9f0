{{ penstock.hub(key='hk_subscription', business_key='subscription_id', sources={
  'relation': ref('stg_subscriptions'), 'stream': 'subscriptions',
}) }}
