-- question: How old are women and men of each nationality?
-- show: pyramid
-- about: Registered users by age group, to one scale.
-- x: age_group
-- by: gender
-- each: country
-- y: users
-- unit: users
with pairs as (
  select genders.gender_key, genders.gender, nations.nationality_key, nations.country_name
  from {{ ref('dim_gender') }} as genders
  cross join {{ ref('dim_nationality') }} as nations
  where genders.gender in ('female', 'male') and nations.nationality_code is not null
)

select pairs.country_name as country, ages.age_group, pairs.gender, count(facts.user_key) as users
from pairs
cross join {{ ref('dim_age_group') }} as ages
left join {{ ref('fct_user_registration') }} as facts
  on facts.age_group_key = ages.age_group_key
  and facts.gender_key = pairs.gender_key
  and facts.nationality_key = pairs.nationality_key
where ages.first_age is not null
group by pairs.country_name, ages.first_age, ages.age_group, pairs.gender
order by pairs.country_name, ages.first_age, pairs.gender
