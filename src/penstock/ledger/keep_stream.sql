insert into penstock.streams (stream, identity, disposition)
values ($1, $2, $3)
on conflict (stream) do nothing
