delete from penstock.run_steps
where started_at < $1
