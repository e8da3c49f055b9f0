select
  w.model,
  w.seq,
  (select count(*) from penstock.loads l where l.landed > 0 and l.seq > w.seq) as loads_behind,
  w.updated_at
from penstock.watermarks w
where w.removed_at is null
order by w.model
