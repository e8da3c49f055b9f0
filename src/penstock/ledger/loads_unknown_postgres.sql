-- whether the ledger lacks a load that landed rows of a stream; the index gives each load without reading its rows
with recursive r(load_id) as (
  select min(_pen_load) from {table}
  union all
  select (select min(_pen_load) from {table} where _pen_load > r.load_id) from r where r.load_id is not null
)
select count(*) > 0
from r
where
  r.load_id is not null
  and not exists (select 1 from penstock.loads l where l.load_id = r.load_id and l.stream = $1)
