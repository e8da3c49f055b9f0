{{ config(materialized='view') }}
{{ penstock.satellite_versions(ref('sat_customer'), 'hk_customer', ['customer_type', 'city', 'zip_code', 'created_at']) }}
