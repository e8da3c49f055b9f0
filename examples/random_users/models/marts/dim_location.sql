{{ config(
  unique_key=['location_key'],
  indexes=penstock.indexes(['location_key']),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

{% set parts = ['country_name', 'state_name', 'city_name', 'postcode'] %}
with landed as (
  {{ penstock.touched(ref('stg_users'), {'country_name': 'country_name', 'state_name': 'state_name', 'city_name': 'city_name', 'postcode': 'postcode'}, 'users', window) }}
    and coalesce({{ parts | join(', ') }}) is not null
),

members as (
  {{ penstock.dimension(
    'landed',
    key='location_key',
    natural_key=parts,
    columns=[],
    unknown=none if is_incremental() else {'country_name': penstock.unknown_label()},
  ) }}
)

{{ penstock.scoped('members', 'members', 'location_key') }}
