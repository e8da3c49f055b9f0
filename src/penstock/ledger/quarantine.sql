insert into penstock.quarantine
  (quarantine_id, stream, source, body, reason_code, reason, origin, load_id, quarantined_at, headers)
values ({id}, $2, $3, $4, $5, $6, $7, $8, $9, {headers})
on conflict (quarantine_id) do nothing
