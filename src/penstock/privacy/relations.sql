select
  n.nspname,
  c.relname,
  cast(c.relkind as text),
  pg_get_userbyid(c.relowner),
  case when c.relkind in ('v', 'm') then rtrim(pg_get_viewdef(c.oid), '; ') end
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_%'
order by c.oid
