{{ config(
  unique_key=['age_group_key'],
  indexes=penstock.indexes(['age_group_key']),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

with starts (first_age) as (
  values (0), (10), (20), (30), (40), (50), (60), (70), (80), (90), (100)
),

named as (
  select
    first_age,
    case when first_age < 100 then first_age + 9 end as last_age,
    case
      when first_age < 100 then cast(first_age as text) || ' to ' || cast(first_age + 9 as text)
      else '100 and over'
    end as age_group
  from starts
),

members as (
  {{ penstock.dimension(
    'named',
    key='age_group_key',
    natural_key='first_age',
    columns=['last_age', 'age_group'],
    unknown={'age_group': penstock.unknown_label()},
  ) }}
)

{{ penstock.scoped('members', 'members', 'age_group_key') }}
