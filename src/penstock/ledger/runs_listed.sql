select
  r.run_id, r.kind, r.status, r.started_at, r.ended_at, r.upper_seq, r.schedule, r.layer, r.fingerprint, r.whole, r.selected, r.detail,
  count(s.step) as steps,
  cast(coalesce(sum(s.landed), 0) as bigint) as landed,
  count(s.step) filter (where s.error is not null) as failed
from penstock.runs r
left join penstock.run_steps s on s.run_id = r.run_id
where r.parent_id is null and r.status not in ({but})
group by r.run_id, r.kind, r.status, r.started_at, r.ended_at, r.upper_seq, r.schedule, r.layer, r.fingerprint, r.whole, r.selected, r.detail
order by r.run_id desc
limit {last}
