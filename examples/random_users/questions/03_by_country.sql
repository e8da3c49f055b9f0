-- question: Where do the users come from?
-- show: map by country
-- about: By nationality.
-- unit: users
select nations.nationality_code, min(nations.country_name) as country, count(*) as users
from {{ ref('fct_user_registration') }} as facts
inner join {{ ref('dim_nationality') }} as nations on nations.nationality_key = facts.nationality_key
group by nations.nationality_code
order by users desc, nations.nationality_code
