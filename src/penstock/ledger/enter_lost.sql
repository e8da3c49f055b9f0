-- enter the loads that landed rows of a stream and that the ledger has lost, after those that it knows
insert into penstock.loads
  (load_id, seq, stream, source, read, landed, duplicates, quarantined, deleted, bytes, started_at, committed_at)
select
  lost.load_id,
  newest.seq + row_number() over (order by lost.load_id),
  {stream},
  {source},
  lost.records, lost.records, 0, 0, 0, 0, lost.landed_at, lost.landed_at
from (
  select r._pen_load as load_id, count(*) as records, max(r._pen_loaded_at) as landed_at
  from {table} r
  where not exists (select 1 from penstock.loads l where l.load_id = r._pen_load)
  group by r._pen_load
) lost
cross join (
  select greatest(coalesce(max(l.seq), 0), (select coalesce(max(w.seq), 0) from penstock.watermarks w)) as seq
  from penstock.loads l
) newest
