select
  quarantine_id, stream, source, coalesce(bytes, 0) as bytes, reason_code, reason, origin, load_id, quarantined_at,
  replayed_in, dropped_at, headers
from penstock.quarantine
where
  ({stream} = '' or stream = {stream})
  and ({reason} = '' or reason_code = {reason})
  and ({settled} or (replayed_in is null and dropped_at is null))
order by quarantined_at desc, quarantine_id
limit {limit}
