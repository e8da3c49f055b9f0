create or replace view {view} as
select *
from {table}
where _pen_load = (
  select load_id
  from penstock.loads
  where stream = {stream} and landed > 0
  order by seq desc
  limit 1
)
