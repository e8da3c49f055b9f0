{{ config(mode='whole', unique_key='organization_key') }}
with organizations as (
  select organization_id, organization_name, created_at
  from {{ ref('stg_organizations') }}
  where organization_id is not null
)

{{ penstock.dimension(
  'organizations',
  key='organization_key',
  natural_key='organization_id',
  columns=['organization_name', 'created_at'],
  unknown={'organization_name': penstock.unknown_label()},
) }}
