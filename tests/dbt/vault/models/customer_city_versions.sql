{{ config(materialized='view') }}
{{ penstock.satellite_versions(ref('sat_customer_city'), 'hub_customer_hk', ['city']) }}
