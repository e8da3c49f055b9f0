-- whether the ledger lacks the newest load of a stream's table, and whether numbers of loads would be given again;
-- a role that only reads the ledger may not look at the sequence, and gives no numbers
select
  newest.load_id is not null
  and not exists (select 1 from penstock.loads l where l.load_id = newest.load_id and l.stream = $1),
  greatest(coalesce(newest.load_id, 0), (select coalesce(max(load_id), 0) from penstock.loads)) > (
    select case
      when has_sequence_privilege('penstock.load_ids', 'select, usage') then coalesce(max(last_value), 0)
      else 9223372036854775807
    end
    from pg_sequences
    where schemaname = 'penstock' and sequencename = 'load_ids'
  )
from (select max(_pen_load) as load_id from {table}) newest
