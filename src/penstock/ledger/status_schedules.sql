select s.schedule, s.spec, s.last_due, r.status as last_status, r.ended_at as last_ended, s.next_due
from penstock.schedules s
left join penstock.runs r on r.run_id = s.last_run
order by s.schedule
