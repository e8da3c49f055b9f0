-- The lines with any sign of trouble: no valid JSON object by DuckDB's lenient reading, or one that it would
-- read wrong. careful.py looks at them. Depth is bounded before anything recursive runs.
with looked as (
  select
    o,
    case
      when coalesce(
        strlen(body) <= {max_bytes}
        and starts_with(ltrim(body, ' \t\r\n'), '{')
        and json_valid(body)
        and not regexp_matches(body, '{suspicious}')
        and strlen(body) - strlen(replace(replace(body, '[', ''), '{', '')) <= 100,
        false
      )
        then body
    end as body
  from lines
),
keyed as (
  select
    o,
    body,
    case when body is not null then json_keys(body) end as k,
    case when body is not null then json_type(body, {paths}) end as y
  from looked
),
marked as (
  select
    o,
    coalesce(len(k) <> {present}, false) as more,
    body is null
    or (len(k) <> {present} and len(list_distinct(k)) <> len(k))
    or (
      contains(substr(ltrim(body, ' \t\r\n'), 2), '{')
      and strlen(json_normalize(body)) <> strlen(json_normalize(body::json::variant::json))
    ) as suspect
  from keyed
)
-- one line that has a field without a column stands for all of them
select o, true as suspect from marked where suspect
union all
select any_value(o), false from marked where more having count(*) > 0
