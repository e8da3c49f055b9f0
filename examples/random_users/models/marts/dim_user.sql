{{ config(
  unique_key=['user_key'],
  indexes=penstock.indexes(['user_key']),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

with landed as (
  select *
  from {{ ref('stg_users') }}
  where {{ penstock.landed_in('users', window) }}
),

members as (
  {{ penstock.dimension(
    'landed',
    key='user_key',
    natural_key='user_id',
    columns=[
      'username', 'title', 'first_name', 'last_name', 'email', 'phone', 'cell_phone', 'birth_date',
      'street_number', 'street_name', 'latitude', 'longitude', 'timezone_offset',
    ],
    unknown=none if is_incremental() else {'username': penstock.unknown_label()},
  ) }}
)

{{ penstock.scoped('members', 'members', 'user_key') }}
