-- whether loads may be missing: each has the next number, and no model has seen a higher one
select
  (select count(*) from penstock.loads) < (select coalesce(max(seq), 0) from penstock.loads)
  or (select coalesce(max(seq), 0) from penstock.loads) < (select coalesce(max(seq), 0) from penstock.watermarks)
  or not exists (select 1 from penstock.loads where stream = $1)
