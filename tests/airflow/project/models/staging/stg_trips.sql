select trips.id, trips.city, cities.country, trips.started_at
from {{ source('raw', 'trips') }} as trips
left join {{ source('raw', 'cities') }} as cities on cities.city = trips.city
