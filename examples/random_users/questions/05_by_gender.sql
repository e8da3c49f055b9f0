-- question: How many users are there of each gender?
-- show: pie
-- unit: users
select genders.gender, count(*) as users
from {{ ref('fct_user_registration') }} as facts
inner join {{ ref('dim_gender') }} as genders on genders.gender_key = facts.gender_key
group by genders.gender
order by genders.gender
