-- question: Which nationalities are there most of?
-- show: bar
-- unit: users
select coalesce(nations.country_name, '(unknown)') as country, count(*) as users
from {{ ref('fct_user_registration') }} as facts
inner join {{ ref('dim_nationality') }} as nations on nations.nationality_key = facts.nationality_key
group by nations.country_name
order by users desc, country
