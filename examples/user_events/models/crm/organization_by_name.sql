{{ config(mode='whole', unique_key='organization_name') }}
{#- Of organisations that share a name, the oldest counts. #}
select organization_name, organization_key, organization_id
from (
  select *,
    row_number() over (
      partition by organization_name order by created_at nulls last, organization_key
    ) as place
  from {{ ref('dim_organization') }}
  where organization_id is not null and organization_name is not null
) as ranked
where place = 1
