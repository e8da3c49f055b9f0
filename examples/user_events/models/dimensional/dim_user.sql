{{ config(
  unique_key=['durable_user_key', 'valid_from'],
  indexes=penstock.indexes(['user_key'], [['durable_user_key', 'valid_from'], ['valid_from_date'], ['valid_to_date']]),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

with touched as (
  {{ penstock.touched(
    ref('stg_user_events'),
    {'user_id': 'user_id', 'durable_user_key': penstock.hash_key(['user_id'])},
    'user_events',
    window,
  ) }}
),

snapshot as (
  {{ penstock.only(ref('user_snapshot'), 'user_id', 'touched') }}
),

versions as (
  select *,
    lag(valid_to) over (partition by user_id order by valid_from) as last_valid_to,
    lead(valid_from) over (partition by user_id order by valid_from) as next_valid_from
  from snapshot
),

described as (
  select
    {{ penstock.hash_key(['user_id', 'valid_from']) }} as user_key,
    {{ penstock.hash_key(['user_id']) }} as durable_user_key,
    user_id,
    username,
    user_email,
    user_type,
    organization_name,
    plan_name,
    valid_from,
    valid_to,
    cast(valid_from as date) as valid_from_date,
    cast(valid_to as date) as valid_to_date,
    case when last_valid_to = valid_from then 'updated' else 'created' end as opened_by,
    case when next_valid_from = valid_to then 'updated' when valid_to is not null then 'deleted' end as closed_by,
    is_current
  from versions
)

{{ penstock.scoped('described', 'touched', 'durable_user_key', order_by='valid_from') }}
