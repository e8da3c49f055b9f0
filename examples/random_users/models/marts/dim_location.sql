{% set parts = ['country_name', 'state_name', 'city_name', 'postcode'] %}
{{ config(scope='location_key', sources={'stg_users': penstock.hash_key(parts)}, unique_key='location_key') }}
{#- The key is made of the users' own columns, so that it is seen to be what they are filtered by. #}
with locations as (
  select distinct
    {{ penstock.hash_key(parts) }} as location_key,
    {{ parts | join(', ') }}
  from {{ ref('stg_users') }}
  where coalesce({{ parts | join(', ') }}) is not null
)

select location_key, {{ parts | join(', ') }}
from locations
union all
{{ penstock.unknown_member('location_key', parts, {'country_name': penstock.unknown_label()}) }}
