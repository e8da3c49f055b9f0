with granted as (
  select c.relnamespace, c.relname, cast(null as name) as attname, a.grantee, a.privilege_type, a.is_grantable
  from pg_class c
  cross join lateral aclexplode(c.relacl) a
  where c.relkind in ('r', 'p', 'v', 'm') and a.grantee <> c.relowner
  union all
  select c.relnamespace, c.relname, t.attname, a.grantee, a.privilege_type, a.is_grantable
  from pg_class c
  join pg_attribute t on t.attrelid = c.oid and not t.attisdropped
  cross join lateral aclexplode(t.attacl) a
  where c.relkind in ('r', 'p', 'v', 'm') and a.grantee <> c.relowner
)
select
  n.nspname,
  g.relname,
  'grant ' || lower(g.privilege_type) || coalesce(' (' || quote_ident(g.attname) || ')', '')
    || ' on ' || quote_ident(n.nspname) || '.' || quote_ident(g.relname)
    || ' to ' || case when g.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end
    || case when g.is_grantable then ' with grant option' else '' end
from granted g
join pg_namespace n on n.oid = g.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema')
order by 1, 2, 3
