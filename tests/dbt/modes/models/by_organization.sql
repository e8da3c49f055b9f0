{{ config(additive=['events', 'organizations'], unique_key='organization') }}
select
  coalesce(organization_key, '(none)') as organization,
  count(*) as events,
  cast(sum(cast(organizations as bigint)) as bigint) as organizations
from {{ ref('named') }}
group by 1
-- as it is written