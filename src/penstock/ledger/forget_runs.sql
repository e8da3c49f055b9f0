delete from penstock.runs
where
  run_id < $1
  and started_at < $2
  and (
    kind <> 'transform'
    or (
      whole = false
      and run_id < (
        select max(t.run_id)
        from penstock.runs t
        where t.kind = 'transform' and t.status = 'success' and not coalesce(t.selected, false)
      )
    )
  )
