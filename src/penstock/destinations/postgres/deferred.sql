select string_agg(distinct format('%I.%I', n.nspname, c.conname), ', ')
from pg_constraint c
join pg_namespace n on n.oid = c.connamespace
where c.condeferred
  and to_regclass($1) in (c.conrelid, c.confrelid)
  and has_schema_privilege(n.oid, 'usage')
  and not exists (
    select 1
    from pg_constraint namesake
    where namesake.connamespace = c.connamespace
      and namesake.conname = c.conname
      and not namesake.condeferrable
  )
