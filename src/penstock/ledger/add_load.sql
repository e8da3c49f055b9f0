-- seq follows the order of commits: the caller holds the ledger's lock until it has committed;
-- and never below what models have seen, should somebody have emptied this table
insert into penstock.loads
  (load_id, seq, stream, source, read, landed, duplicates, quarantined, deleted, bytes, started_at, committed_at)
select
  $1,
  greatest(coalesce(max(seq), 0), (select coalesce(max(w.seq), 0) from penstock.watermarks w)) + 1,
  $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
from penstock.loads
returning seq
