{{ config(materialized='view') }}
{{ penstock.effectivity_periods(ref('eff_rental_term'), 'link_rental_hk', ends=true) }}
