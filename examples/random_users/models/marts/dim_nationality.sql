{{ config(
  unique_key=['nationality_key'],
  indexes=penstock.indexes(['nationality_key']),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

with touched as (
  {{ penstock.touched(ref('stg_users'), {'nationality_code': 'nationality_code'}, 'users', window) }}
    and nationality_code is not null
),

-- of all users of the nationality, for the name must not depend on who came first
named as (
  select nationality_code, min(country_name) as country_name
  from {{ ref('stg_users') }}
  where nationality_code in (select nationality_code from touched)
  group by nationality_code
),

members as (
  {{ penstock.dimension(
    'named',
    key='nationality_key',
    natural_key='nationality_code',
    columns=['country_name'],
    unknown=none if is_incremental() else {'country_name': penstock.unknown_label()},
  ) }}
)

{{ penstock.scoped('members', 'members', 'nationality_key') }}
