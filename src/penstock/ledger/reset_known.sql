-- what the ledger knows of a stream
select
  (select count(*) from penstock.positions where stream = $1),
  (select count(*) from penstock.quarantine where stream = $1),
  (select count(*) from penstock.columns where stream = $1),
  (select count(*) from penstock.streams where stream = $1)
