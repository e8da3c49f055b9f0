-- the catalogue itself, as the information schema leaves out what the user may not read
select c.relname, a.attname
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'penstock' and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
