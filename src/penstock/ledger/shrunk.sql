-- whether rows are gone of what a build takes in, after load $1 and up to $2: a load replaced them, or the stream was
-- reset (which reads nothing) and has landed anew since, and no build before this one took that in
select exists (
  select 1
  from penstock.loads l
  where l.seq <= $2 and (
    (l.read > 0 and l.deleted > 0 and l.seq > $1)
    or (
      l.read = 0
      and exists (
        select 1 from penstock.loads n
        where n.stream = l.stream and n.landed > 0 and n.seq > l.seq and n.seq > $1 and n.seq <= $2
      )
      and not exists (
        select 1 from penstock.loads b
        where b.stream = l.stream and b.landed > 0 and b.seq > l.seq and b.seq <= $1
      )
    )
  )
)
