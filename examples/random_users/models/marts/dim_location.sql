{% set parts = ['country_name', 'state_name', 'city_name', 'postcode'] %}
{{ config(scope='location_key', sources={'stg_users': penstock.hash_key(parts)}, unique_key='location_key') }}
with locations as (
  select distinct {{ parts | join(', ') }}
  from {{ ref('stg_users') }}
  where coalesce({{ parts | join(', ') }}) is not null
)

{{ penstock.dimension(
  'locations',
  key='location_key',
  natural_key=parts,
  columns=[],
  unknown={'country_name': penstock.unknown_label()},
) }}
