select
  stream,
  reason_code,
  count(*) filter (where replayed_in is null and dropped_at is null) as waiting,
  count(*) filter (where replayed_in is not null) as replayed,
  count(*) filter (where dropped_at is not null) as dropped,
  max(quarantined_at) as last
from penstock.quarantine
group by stream, reason_code
order by stream, reason_code
