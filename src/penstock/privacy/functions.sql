select n.nspname, p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', pg_get_functiondef(p.oid)
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
where
  p.prokind <> 'a'
  and n.nspname not in ('pg_catalog', 'information_schema')
  and n.nspname not like 'pg\_%'
  and not exists (
    select 1 from pg_depend d where d.classid = cast('pg_proc' as regclass) and d.objid = p.oid and d.deptype = 'e'
  )
order by p.oid
