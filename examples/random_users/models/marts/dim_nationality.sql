{{ config(scope='nationality_code', unique_key='nationality_key') }}
-- of all users of the nationality, for the name must not depend on who came first
with named as (
  select nationality_code, min(country_name) as country_name
  from {{ ref('stg_users') }}
  where nationality_code is not null
  group by nationality_code
)

{{ penstock.dimension(
  'named',
  key='nationality_key',
  natural_key='nationality_code',
  columns=['country_name'],
  unknown={'country_name': penstock.unknown_label()},
) }}
