-- question: How old are the users?
-- show: bar
-- about: By age groups of ten years; groups without a user are there too.
-- unit: users
select coalesce(ages.age_group, '(unknown)') as age_group, count(facts.user_key) as users
from {{ ref('dim_age_group') }} as ages
left join {{ ref('fct_user_registration') }} as facts on facts.age_group_key = ages.age_group_key
group by ages.first_age, ages.age_group
having ages.first_age is not null or count(facts.user_key) > 0
order by ages.first_age nulls last
