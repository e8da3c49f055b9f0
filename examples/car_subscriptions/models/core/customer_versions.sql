{{ config(
  materialized='penstock', scope='hk_customer', unique_key=['hk_customer', 'valid_from'],
) }}
{{ penstock.satellite_versions(ref('sat_customer'), 'hk_customer', ['customer_type', 'city', 'zip_code', 'created_at']) }}
