{{ config(unique_key='age_group_key') }}
with starts (first_age) as (
  values (0), (10), (20), (30), (40), (50), (60), (70), (80), (90), (100)
),

named as (
  select
    first_age,
    case when first_age < 100 then first_age + 9 end as last_age,
    case
      when first_age < 100 then cast(first_age as {{ penstock.text_type() }}) || ' to ' || cast(first_age + 9 as {{ penstock.text_type() }})
      else '100 and over'
    end as age_group
  from starts
)

{{ penstock.dimension(
  'named',
  key='age_group_key',
  natural_key='first_age',
  columns=['last_age', 'age_group'],
  unknown={'age_group': penstock.unknown_label()},
) }}
