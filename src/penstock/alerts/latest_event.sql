-- the latest that has happened, and how many claim a time that has not come: an unknown end is often written as year 9999
select max(case when {column} <= {now} then {column} end), count(case when {column} > {now} then 1 end)
from raw.{table}
where _pen_load >= {load}
