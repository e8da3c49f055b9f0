{{ config(scope='gender', unique_key='gender_key') }}
with genders as (
  select distinct gender from {{ ref('stg_users') }} where gender is not null
)

{{ penstock.dimension(
  'genders',
  key='gender_key',
  natural_key='gender',
  columns=[],
  unknown={'gender': penstock.unknown_label()},
) }}
