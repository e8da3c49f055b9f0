{#- Subscriptions name cars too, also such as /cars has never heard of. #}
{{ penstock.hub(key='hk_car', business_key='car_id', sources=[
  {'relation': ref('stg_cars'), 'stream': 'cars'},
  {'relation': ref('stg_subscriptions'), 'stream': 'subscriptions'},
]) }}
