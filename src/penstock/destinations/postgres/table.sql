select
  a.attname::text,
  case
    when b.typname = 'varchar' then 'text'
    else format_type(b.oid, case when t.typtype = 'd' then t.typtypmod else a.atttypmod end)
  end,
  a.attnotnull and not a.atthasdef and a.attidentity = '',
  current_user::text,
  concat_ws(
    ', ',
    case when not has_table_privilege(a.attrelid, 'select') then 'select' end,
    case when not has_table_privilege(a.attrelid, 'insert') then 'insert' end
  )
from pg_attribute a
join pg_type t on t.oid = a.atttypid
join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped
