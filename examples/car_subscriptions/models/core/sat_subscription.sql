{{ penstock.satellite(
  key='hk_subscription',
  business_key='subscription_id',
  columns=['term_months', 'starts_on', 'ends_on', 'monthly_rate'],
  applied='created_at',
  sources={'relation': ref('stg_subscriptions'), 'stream': 'subscriptions'},
) }}
