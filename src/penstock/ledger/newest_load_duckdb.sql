-- whether the ledger lacks the newest load of a stream's table, and whether numbers of loads would be given again
select
  newest.load_id is not null
  and not exists (select 1 from penstock.loads l where l.load_id = newest.load_id and l.stream = $1),
  greatest(coalesce(newest.load_id, 0), (select coalesce(max(load_id), 0) from penstock.loads)) > (
    select coalesce(max(last_value), 0)
    from duckdb_sequences()
    where schema_name = 'penstock' and sequence_name = 'load_ids' and database_name = current_database()
  )
from (select max(_pen_load) as load_id from {table}) newest
