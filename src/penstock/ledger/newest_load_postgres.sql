-- whether the ledger lacks the newest load of a stream's table, and whether numbers of loads would be given again
select
  newest.load_id is not null
  and not exists (select 1 from penstock.loads l where l.load_id = newest.load_id and l.stream = $1),
  greatest(coalesce(newest.load_id, 0), (select coalesce(max(load_id), 0) from penstock.loads)) > (select case when is_called then last_value else 0 end from penstock.load_ids)
from (select max(_pen_load) as load_id from {table}) newest
