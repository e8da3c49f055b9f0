select n.nspname, c.relname, a.attname
from pg_catalog.pg_class as c
inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
inner join pg_catalog.pg_attribute as a on a.attrelid = c.oid
where
  n.nspname in ({schemas})
  and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and a.attnum > 0
  and not a.attisdropped
  and has_schema_privilege({user}, n.oid, 'usage')
  and has_column_privilege({user}, c.oid, a.attnum, 'select')
order by 1, 2, a.attnum
