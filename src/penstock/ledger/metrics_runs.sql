-- of each kind of run, the last that has ended
select kind, status, started_at, ended_at
from (
  select kind, status, started_at, ended_at, row_number() over (partition by kind order by run_id desc) as newest
  from penstock.runs
  where parent_id is null and ended_at is not null
) as ended
where newest = 1
