-- loads of other streams whose numbers rows of a stream's table have
select distinct r._pen_load
from {table} r
where exists (select 1 from penstock.loads l where l.load_id = r._pen_load and l.stream <> $1)
