select quarantine_id, body
from penstock.quarantine
where quarantine_id in ({ids})
