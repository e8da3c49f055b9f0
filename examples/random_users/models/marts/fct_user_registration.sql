{% set location = ['country_name', 'state_name', 'city_name', 'postcode'] %}
{{ config(
  scope='user_key',
  sources={'stg_users': penstock.hash_key(['user_id'])},
  unique_key='user_key',
  indexes=[{'columns': ['registration_date_key']}, {'columns': ['nationality_key']}, {'columns': ['location_key']}],
) }}
select
  {{ penstock.hash_key(['user_id']) }} as user_key,
  {{ penstock.member_key(['gender']) }} as gender_key,
  {{ penstock.member_key(['nationality_code']) }} as nationality_key,
  {{ penstock.member_key(['cast(floor(least(age_in_years, 100) / 10.0) * 10 as integer)'], 'age_in_years >= 0') }} as age_group_key,
  {{ penstock.member_key(location) }} as location_key,
  coalesce({{ penstock.date_key('registration_date') }}, {{ penstock.unknown_date_key() }}) as registration_date_key,
  age_in_years,
  tenure_in_years,
  cast(floor(({{ penstock.date_key('registration_date') }} - {{ penstock.date_key('birth_date') }}) / 10000.0)
    as integer) as age_at_registration_in_years,
  1 as registrations_count
from {{ ref('stg_users') }}
