update penstock.quarantine
set replayed_in = $1
where quarantine_id = cast(cast($2 as text) as uuid) and replayed_in is null
