-- what has landed after load {seen}, added up
select
  stream,
  max(seq),
  max(committed_at),
  count(*),
  cast(sum(read) as bigint),
  cast(sum(landed) as bigint),
  cast(sum(duplicates) as bigint),
  cast(sum(quarantined) as bigint)
from penstock.loads
where seq > {seen}
group by stream
