select country, count(*) as trips from {{ ref('stg_trips') }} group by country
