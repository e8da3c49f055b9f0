delete from penstock.runs
where
  run_id < $1
  and started_at < $2
  and (
    kind <> 'transform'
    or (
      cast(detail as {text}) like '%"whole": false%'
      and run_id < (
        select max(t.run_id)
        from penstock.runs t
        where t.kind = 'transform' and t.status = 'success' and cast(t.detail as {text}) not like '%"selection": %'
      )
    )
  )
