{{ config(materialized='view') }}
{{ penstock.satellite_versions(ref('sat_customer'), 'hub_customer_hk', ['name', 'city', 'credit'], sequence=['version']) }}
