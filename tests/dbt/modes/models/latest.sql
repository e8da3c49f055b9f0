{#- A scope that does not hold: it is built whole. #}
{{ config(scope='user_id', unique_key='user_id') }}
select user_id, max(received_at) as last_at from {{ ref('event_log') }}
where user_id is not null group by user_id order by last_at desc nulls last, user_id limit 3
