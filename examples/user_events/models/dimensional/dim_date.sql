{{ config(mode='whole', order_by='date_key', unique_key='date_key', indexes=[{'columns': ['date_day']}]) }}
{{ penstock.date_dimension(ref('user_event_day'), 'event_date') }}
