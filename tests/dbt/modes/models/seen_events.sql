{{ config(materialized='view') }}
select _pen_id, _pen_load, id as user_id, username, plan_name, received_at from {{ source('raw', 'user_events') }}
