insert into penstock.quarantine
  (quarantine_id, stream, source, body, reason_code, reason, origin, load_id, quarantined_at, headers, bytes)
{rows}
on conflict (quarantine_id) do nothing
