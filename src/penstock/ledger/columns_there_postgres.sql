-- the columns of a stream, as the ledger knows them and as its table has them, at one moment
select 'ledger' as place, name from penstock.columns where stream = $1
union all
select 'table', a.attname::text
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'raw' and c.relname = $1 and a.attnum > 0 and not a.attisdropped
