{{ config(materialized='view') }}
{{ penstock.effectivity_periods(ref('eff_rental'), 'link_rental_hk', driving_key='hub_car_hk') }}
