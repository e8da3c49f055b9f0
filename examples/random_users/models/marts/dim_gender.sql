{{ config(
  unique_key=['gender_key'],
  indexes=penstock.indexes(['gender_key']),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

with landed as (
  {{ penstock.touched(ref('stg_users'), {'gender': 'gender'}, 'users', window) }}
    and gender is not null
),

members as (
  {{ penstock.dimension(
    'landed',
    key='gender_key',
    natural_key='gender',
    columns=[],
    unknown=none if is_incremental() else {'gender': penstock.unknown_label()},
  ) }}
)

{{ penstock.scoped('members', 'members', 'gender_key') }}
