insert into penstock.positions (stream, source, key, state, load_id, updated_at)
values ($1, $2, $3, cast(cast($4 as text) as {json}), $5, $6)
on conflict (stream, source, key) do update set
  state = excluded.state,
  load_id = excluded.load_id,
  updated_at = excluded.updated_at
