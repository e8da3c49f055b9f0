select last_due, next_due, spec
from penstock.schedules
where schedule = $1
