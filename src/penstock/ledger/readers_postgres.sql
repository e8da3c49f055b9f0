-- the views that read a table, also through others
with recursive readers as (
  select to_regclass($1)::oid as oid
  union
  select r.ev_class
  from readers
  join pg_depend d on d.refobjid = readers.oid and d.classid = 'pg_rewrite'::regclass
  join pg_rewrite r on r.oid = d.objid
)
select n.nspname::text, c.relname::text
from readers
join pg_class c on c.oid = readers.oid
join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('v', 'm')
order by 1, 2
