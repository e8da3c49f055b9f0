-- question: How many users registered in each year?
-- show: bar
-- unit: users
select days.year_number as registration_year, count(*) as users
from {{ ref('fct_user_registration') }} as facts
inner join {{ ref('dim_date') }} as days on days.date_key = facts.registration_date_key
where days.year_number is not null
group by days.year_number
order by days.year_number
