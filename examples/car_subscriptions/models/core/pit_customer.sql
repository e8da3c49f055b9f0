{#- For each customer and month, the rows of both satellites that held at its end. #}
{{ penstock.pit(
  hub=ref('hub_customer'),
  key='hk_customer',
  satellites={
    'sat_customer': {'relation': ref('sat_customer')},
    'sat_customer_pii': {'relation': ref('sat_customer_pii')},
  },
  snapshots=ref('int_months'),
) }}
