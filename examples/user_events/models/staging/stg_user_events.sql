{#- A time with a zone, or with more digits than its column keeps, is in `_pen_rescued`. -#}
{% set received_at = penstock.instant(source('raw', 'user_events'), 'received_at') %}
select
  _pen_id,
  _pen_load,
  {{ penstock.trimmed('id') }} as user_id,
  {{ penstock.trimmed('event_type') }} as event_type,
  {{ penstock.trimmed('username') }} as username,
  {{ penstock.trimmed('user_email') }} as user_email,
  {{ penstock.trimmed('user_type') }} as user_type,
  {{ penstock.trimmed('organization_name') }} as organization_name,
  {{ penstock.trimmed('plan_name') }} as plan_name,
  {{ received_at }} as received_at,
  cast({{ received_at }} as date) as event_date
from {{ source('raw', 'user_events') }}
