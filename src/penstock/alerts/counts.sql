-- what loads of a stream did in a time; what is replayed from quarantine was read before
select
  cast(coalesce(sum(landed), 0) as bigint),
  cast(coalesce(sum(read) filter (where source <> 'quarantine'), 0) as bigint),
  cast(coalesce(sum(quarantined) filter (where source <> 'quarantine'), 0) as bigint)
from penstock.loads
where stream = {stream} and committed_at >= {start} and committed_at < {end}
