{{ config(
  unique_key=['organization_key'],
  indexes=penstock.indexes(['organization_key'], [['organization_name']]),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

with landed as (
  select organization_id, organization_name, created_at
  from {{ ref('stg_organizations') }}
  where organization_id is not null
    and {{ penstock.landed_in('organizations', window) }}
),

members as (
  {{ penstock.dimension(
    'landed',
    key='organization_key',
    natural_key='organization_id',
    columns=['organization_name', 'created_at'],
    unknown=none if is_incremental() else {'organization_name': penstock.unknown_label()},
  ) }}
)

{{ penstock.scoped('members', 'members', 'organization_key') }}
