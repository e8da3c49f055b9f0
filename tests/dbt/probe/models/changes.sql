{{ config(materialized='view') }}
{#- Change records in the clothes of user events: op in event_type, name in username, city in user_email, seq in plan_name. -#}
select
  id as user_id,
  username as name,
  user_email as city,
  event_type as op,
  cast(plan_name as integer) as seq,
  _pen_load
from {{ source('raw', 'user_events') }}
