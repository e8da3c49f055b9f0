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
-- since the stream was reset, if it was: that reads nothing
where l.seq > (select coalesce(max(r.seq), 0) from penstock.loads r where r.stream = l.stream and r.read = 0)
group by l.stream
order by l.stream
