{{ config(unique_key='date_key', indexes=[{'columns': ['date_day']}]) }}
{{ penstock.date_dimension(ref('stg_users'), 'registration_date', unknown=true) }}
