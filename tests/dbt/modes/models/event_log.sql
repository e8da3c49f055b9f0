{#- Row by row, from the raw table itself. #}
{{ config(scope='_pen_id', unique_key='_pen_id') }}
select
  user_events._pen_id,
  id as user_id,
  username,
  plan_name,
  organization_name,
  event_type,
  received_at
from {{ source('raw', 'user_events') }}
-- as it is written