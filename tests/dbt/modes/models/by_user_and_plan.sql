{{ config(scope=['user_id', 'plan_name'], unique_key=['plan_name', 'user_id']) }}
select user_id, plan_name, last_at,
  (select count(*) from {{ ref('event_log') }} as e where e.user_id = r.user_id and e.plan_name = r.plan_name) as events
from (
  select user_id, plan_name, max(received_at) as last_at
  from {{ ref('event_log') }}
  where user_id is not null and plan_name is not null
  group by user_id, plan_name
) as r
