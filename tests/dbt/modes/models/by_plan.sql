{#- By a scope that may be null, with a member that lies in none. #}
{{ config(scope='plan_name', unique_key='plan_key') }}
with event_log as (
  select * from {{ ref('event_log') }} where received_at is not null
)

select
  {{ penstock.hash_key(['plan_name']) }} as plan_key,
  plan_name,
  count(distinct event_log.user_id) as users,
  min(received_at) as first_at
from event_log
group by plan_name
union all
select {{ penstock.hash_key(["'none'"]) }}, 'none', 0, null
-- as it is written