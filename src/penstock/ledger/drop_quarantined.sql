update penstock.quarantine
set dropped_at = $1
where quarantine_id = cast($2 as uuid) and replayed_in is null
