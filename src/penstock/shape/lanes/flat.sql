-- Records without their dropped fields, and one level deep where the stream asks for it. Null for a body that shows any
-- sign of trouble: careful.py looks at it. What DuckDB would read wrong has to be found before it is written anew.
with looked as (
  select o, body as _pen_raw, {clean} as _pen_clean from {source}
),
safe as (
  select o, _pen_clean, case when _pen_clean then _pen_raw else '{}' end as _pen_body from looked
),
parsed as (
  select
    o,
    _pen_clean,
    _pen_body,
    json_normalize(_pen_body) as _pen_c,
    json_keys(_pen_body) as _pen_k,
    {asked} as v
  from safe
),
laid as (
  select o, _pen_k, case when not ({suspect}) and not coalesce({odd}, false) then {laid} end as _pen_laid
  from parsed
)
select o, {ordered} as body
from laid
