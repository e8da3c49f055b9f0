{{ config(additive='events', order_by='event_date', unique_key='event_date') }}
select event_date, count(*) as events
from {{ ref('user_event') }}
group by event_date
