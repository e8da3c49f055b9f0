-- Bodies to what every later question needs of them, once: canonical text, keys, and for each field asked
-- for its text and JSON type. A record with any sign of trouble is only marked suspect; see careful.py.
create or replace temp table parsed as
with looked as materialized (
  select
    o,
    body,
    coalesce(
      json_valid(body)
      and strlen(body) <= {max_bytes}
      and regexp_matches(body, '^[ \t\r\n]*\{')
      and not regexp_matches(body, '{suspicious}')
      and strlen(body) - strlen(replace(replace(body, '[', ''), '{', '')) <= 100,
      false
    ) as clean
  from lines
),
read as (
  select
    o,
    body,
    clean,
    case when clean then json_normalize(body) end as c,
    case when clean then json_keys(body) end as k,
    case when clean then json_extract_string(body, {paths}) end as t,
    case when clean then json_type(body, {paths}) end as y
  from looked
)
select
  o,
  body,
  c,
  k,
  t,
  y,
  false as careful,
  coalesce(
    not clean
    or (len(k) <> len(list_filter(y, lambda x: x is not null)) and len(list_distinct(k)) <> len(k))
    or (contains(substr(c, 2), '{') and strlen(c) <> strlen(json_normalize(c::json::variant::json))),
    true
  ) as suspect
from read
