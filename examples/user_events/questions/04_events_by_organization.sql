-- question: Which organisations do the events come from?
-- show: bar
-- unit: events
select organization_name, cast(sum(total_events) as bigint) as events
from {{ ref('events_by_organization') }}
group by organization_name
order by events desc, organization_name
