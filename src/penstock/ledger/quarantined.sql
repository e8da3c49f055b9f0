select
  quarantine_id, stream, source, body, reason_code, reason, origin, load_id, quarantined_at, replayed_in, dropped_at,
  headers
from penstock.quarantine
where
  ($1 = '' or stream = $1)
  and ($2 = '' or reason_code = $2)
  and ($3 or (replayed_in is null and dropped_at is null))
order by quarantined_at desc, quarantine_id
limit {limit}
