{{ config(unique_key='organization') }}
select organization, cast(sum(events) over (order by organization) as bigint) as events from {{ ref('by_organization') }}
-- as it is written