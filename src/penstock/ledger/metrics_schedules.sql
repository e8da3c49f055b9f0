-- when each schedule is due, how its last run ended, and when one ended well, if it is younger than run {since}
select
  s.schedule,
  s.next_due,
  (select r.status from penstock.runs r where r.run_id = s.last_run),
  (
    select max(r.ended_at)
    from penstock.runs r
    where r.run_id > {since}
      and r.kind = 'schedule'
      and r.status = 'success'
      and r.schedule = s.schedule
  )
from penstock.schedules s
