-- whether the ledger lacks a load that landed rows of a stream
select count(*) > 0
from (select distinct _pen_load from {table}) r
where not exists (select 1 from penstock.loads l where l.load_id = r._pen_load and l.stream = $1)
