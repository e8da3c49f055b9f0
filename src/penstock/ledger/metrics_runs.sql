-- of each kind of run, the last that has ended, if it is younger than run {since}
select r.kind, r.run_id, r.status, r.started_at, r.ended_at
from penstock.runs r
join (
  select max(run_id) as run_id
  from penstock.runs
  where parent_id is null and ended_at is not null and run_id > {since}
  group by kind
) as newest on newest.run_id = r.run_id
