-- what hangs on relations and functions, by a name that says what it is, and the statement that makes it anew, if one can
with relations as (
  select c.oid, c.relkind, c.reloptions, c.relrowsecurity, c.relforcerowsecurity, format('%I.%I', n.nspname, c.relname) as name
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_%'
),
functions as (
  select p.oid, p.proowner, p.proacl, format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as name
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  where p.oid >= 16384 and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_%'
),
hanging as (
  select 1 as step, 'option ' || o || ' of ' || name as label, format('alter table %s set (%s)', name, o) as remake
  from relations
  cross join unnest(reloptions) o
  union all
  select 2, 'row level security of ' || name, format('alter table %s enable row level security', name)
  from relations
  where relrowsecurity
  union all
  select 2, 'forced row level security of ' || name, format('alter table %s force row level security', name)
  from relations
  where relforcerowsecurity
  union all
  -- without its own name, which is another one each time that a table is built
  select
    case k.contype when 'f' then 4 else 3 end,
    'constraint ' || pg_get_constraintdef(k.oid) || ' of ' || r.name,
    format('alter table %s add constraint %I %s', r.name, k.conname, pg_get_constraintdef(k.oid))
  from pg_constraint k
  join relations r on r.oid = k.conrelid
  where k.contype in ('c', 'f', 'p', 'u', 'x') and k.conparentid = 0
  union all
  select
    5,
    'default of ' || r.name || '.' || quote_ident(a.attname),
    format('alter table %s alter column %I set default %s', r.name, a.attname, pg_get_expr(d.adbin, d.adrelid))
  from pg_attrdef d
  join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum and a.attgenerated = ''
  join relations r on r.oid = d.adrelid
  union all
  select 6, 'rule ' || quote_ident(w.rulename) || ' on ' || r.name, pg_get_ruledef(w.oid)
  from pg_rewrite w
  join relations r on r.oid = w.ev_class
  where w.rulename <> '_RETURN'
  union all
  select 6, 'trigger ' || quote_ident(t.tgname) || ' on ' || r.name, pg_get_triggerdef(t.oid)
  from pg_trigger t
  join relations r on r.oid = t.tgrelid
  where not t.tgisinternal and t.tgparentid = 0
  union all
  select
    7,
    'state of trigger ' || quote_ident(t.tgname) || ' on ' || r.name,
    format(
      'alter table %s %s trigger %I',
      r.name,
      case t.tgenabled when 'D' then 'disable' when 'R' then 'enable replica' else 'enable always' end,
      t.tgname
    )
  from pg_trigger t
  join relations r on r.oid = t.tgrelid
  where not t.tgisinternal and t.tgparentid = 0 and t.tgenabled <> 'O'
  union all
  select
    6,
    'policy ' || quote_ident(p.polname) || ' on ' || r.name,
    format('create policy %I on %s', p.polname, r.name)
      || case when p.polpermissive then '' else ' as restrictive' end
      || case p.polcmd when 'r' then ' for select' when 'a' then ' for insert' when 'w' then ' for update' when 'd' then ' for delete' else '' end
      || ' to ' || (select string_agg(case o when 0 then 'public' else quote_ident(pg_get_userbyid(o)) end, ', ') from unnest(p.polroles) o)
      || coalesce(' using (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
      || coalesce(' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')
  from pg_policy p
  join relations r on r.oid = p.polrelid
  union all
  select 6, 'statistics ' || quote_ident(s.stxname) || ' of ' || r.name, pg_get_statisticsobjdef(s.oid)
  from pg_statistic_ext s
  join relations r on r.oid = s.stxrelid
  union all
  select 8, 'owner of function ' || name, format('alter routine %s owner to %I', name, pg_get_userbyid(proowner))
  from functions
  where proowner <> (select oid from pg_roles where rolname = current_user)
  union all
  -- a new function may be called by everybody, whatever was said of the old one
  select 8, 'rights on function ' || name, format('revoke all on routine %s from public', name)
  from functions
  where proacl is not null
  union all
  select
    9,
    'right of ' || case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end || ' on function ' || f.name,
    format(
      'grant execute on routine %s to %s%s',
      f.name,
      case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end,
      case when a.is_grantable then ' with grant option' else '' end
    )
  from functions f
  cross join lateral aclexplode(f.proacl) a
  where a.grantee <> f.proowner
  union all
  select
    9,
    'comment on ' || o.type || ' ' || o.identity,
    format(
      'comment on %s %s is %L',
      case
        when o.type like '%column' then 'column'
        when o.type like '%constraint' then 'constraint'
        when o.type = 'statistics object' then 'statistics'
        else o.type
      end,
      o.identity,
      d.description
    )
  from pg_description d
  cross join lateral pg_identify_object(d.classoid, d.objoid, d.objsubid) o
  where d.objoid >= 16384
  union all
  -- all other kinds of what depends on a relation, a type or a function, and what they are of is not known here
  select 10, o.type || ' ' || o.identity, cast(null as text)
  from pg_depend d
  cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) o
  where
    d.objid >= 16384
    and d.refobjid >= 16384
    and d.refclassid in (cast('pg_class' as regclass), cast('pg_type' as regclass), cast('pg_proc' as regclass))
    and d.deptype in ('n', 'a')
    and not (d.classid = cast('pg_class' as regclass) and d.objsubid = 0)
    and d.classid not in (
      select cast(known as regclass)
      from unnest(array['pg_rewrite', 'pg_trigger', 'pg_attrdef', 'pg_policy', 'pg_constraint', 'pg_statistic_ext']) known
    )
    and not (d.classid = cast('pg_proc' as regclass) and exists (select 1 from pg_proc p where p.oid = d.objid and p.prokind <> 'a'))
)
select label, min(remake)
from hanging
where label is not null
group by step, label
order by step, label
