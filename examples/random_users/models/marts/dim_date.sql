{{ config(
  unique_key=['date_key'],
  indexes=penstock.indexes(['date_key'], [['date_day']]),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

{{ penstock.date_dimension(ref('stg_users'), 'registration_date', 'users', window, unknown=true) }}
