-- the rows that loads landed which the ledger does not know as the stream's, and those loads
select count(*), count(distinct r._pen_load)
from {table} r
where not exists (select 1 from penstock.loads l where l.load_id = r._pen_load and l.stream = $1)
