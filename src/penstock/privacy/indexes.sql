select n.nspname, t.relname, pg_get_indexdef(i.indexrelid), replace(pg_get_indexdef(i.indexrelid), quote_ident(c.relname), '')
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_class t on t.oid = i.indrelid
join pg_namespace n on n.oid = t.relnamespace
where
  n.nspname not in ('pg_catalog', 'information_schema')
  and n.nspname not like 'pg\_%'
  and not exists (select 1 from pg_constraint k where k.conindid = i.indexrelid)
order by 1, 2, 3
