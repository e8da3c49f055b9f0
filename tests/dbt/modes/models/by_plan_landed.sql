{#- The same of a view, by an expression. #}
{{ config(scope='plan', sources={'seen_events': 'lower(plan_name)'}, unique_key='plan_key') }}
select {{ penstock.hash_key(['lower(plan_name)']) }} as plan_key, lower(plan_name) as plan, count(*) as events
from {{ ref('seen_events') }}
group by lower(plan_name)
