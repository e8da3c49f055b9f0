update penstock.quarantine
set replayed_in = $1
where quarantine_id = {id} and replayed_in is null
