{{ config(
  unique_key=['durable_user_key', 'valid_from'],
  indexes=penstock.indexes(['user_key'], [['durable_user_key', 'valid_from'], ['organization_name'], ['organization_key']]),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}
{% set arrived_organizations, arrived_events = ref('stg_organizations'), ref('stg_user_events') %}

{% if is_incremental() -%}
with landed_organizations as (
  {{ penstock.touched(
    arrived_organizations,
    {'organization_key': penstock.hash_key(['organization_id']), 'organization_name': 'organization_name'},
    'organizations',
    window,
  ) }}
),

{#- An organisation touches the users under its name, and those who were joined to it under a former one. #}
touched as (
  {{ penstock.touched(
    arrived_events, {'durable_user_key': penstock.hash_key(['user_id'])}, 'user_events', window
  ) }}
  union
  select durable_user_key from {{ this }}
  where organization_name in (select organization_name from landed_organizations)
  union
  select durable_user_key from {{ this }}
  where organization_key in (select organization_key from landed_organizations)
),
{%- else -%}
with
{%- endif %}

{#- Of organisations that share a name, the oldest counts. #}
organizations as (
  select organization_key, organization_id, organization_name
  from (
    select *,
      row_number() over (
        partition by organization_name order by created_at nulls last, organization_key
      ) as place
    from {{ ref('dim_organization') }}
    where organization_id is not null
  ) as ranked
  where place = 1
),

dim_user as (
  {{ penstock.only(ref('dim_user'), 'durable_user_key', 'touched') }}
),

users as (
  select
    dim_user.user_key,
    dim_user.durable_user_key,
    dim_user.user_id,
    dim_user.username,
    dim_user.user_email,
    dim_user.user_type,
    coalesce(organizations.organization_key, {{ penstock.unknown_key() }}) as organization_key,
    organizations.organization_id,
    dim_user.organization_name,
    dim_user.plan_name,
    dim_user.valid_from,
    dim_user.valid_to,
    dim_user.is_current
  from dim_user
  left join organizations on organizations.organization_name = dim_user.organization_name
)

{{ penstock.scoped('users', 'touched', 'durable_user_key', order_by='valid_from') }}
