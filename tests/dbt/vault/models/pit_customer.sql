{{ penstock.pit(
  hub=ref('hub_customer'),
  key='hub_customer_hk',
  satellites={
    'sat_customer': {'relation': ref('sat_customer'), 'sequence': ['version']},
    'sat_customer_city': {'relation': ref('sat_customer_city')},
  },
  snapshots=source('raw', 'snapshots'),
) }}
