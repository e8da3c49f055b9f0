select subject, first_failed_at
from penstock.alerts
where alert = 'expectation_failed' and state = 'failing'
