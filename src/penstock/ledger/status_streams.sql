select
  l.stream,
  count(*) as loads,
  cast(sum(l.read) as bigint) as read,
  cast(sum(l.landed) as bigint) as landed,
  cast(sum(l.duplicates) as bigint) as duplicates,
  cast(sum(l.quarantined) as bigint) as quarantined,
  max(l.seq) as last_seq,
  max(l.committed_at) as last_commit
from penstock.loads l
group by l.stream
order by l.stream
