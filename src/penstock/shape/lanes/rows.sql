-- Bodies to typed rows. A field's value goes to the first of its columns that it fits; what fits none is lost to
-- the columns, like a field that has none, and is rescued. Names of our own start with _pen_, which no column of
-- a stream can. A line with any sign of trouble is only marked suspect: no valid JSON object by DuckDB's lenient
-- reading, or one that it would read wrong; careful.py looks at those. Depth is bounded before anything recursive.
with looked as (
  select
    o as _pen_o,
    body as _pen_raw,
    {clean} as _pen_clean
  from {source}
),
-- what is not clean is read as an empty object: cheaper than asking before each reading
safe as (
  select
    _pen_o,
    _pen_clean,
    case when _pen_clean then _pen_raw else '{}' end as _pen_body
  from looked
),
parsed as (
  select
    _pen_o,
    _pen_body,
    _pen_clean,
    json_normalize(_pen_body) as _pen_c,
    json_keys(_pen_body) as _pen_k,
    json_extract_string(_pen_body, {paths}) as t,
    json_type(_pen_body, {paths}) as y
  from safe
),
field as (
  select
    _pen_o,
    _pen_body,
    _pen_clean,
    _pen_c,
    _pen_k,
    {texts}
  from parsed
),
typed as (
  select
    _pen_o,
    _pen_body,
    {values}
    {present}
    {event_time} as _pen_event_time,
    {more} as _pen_more,
    {unknown} as _pen_unknown,
    {missing} as _pen_missing,
    {identity} as _pen_id,
    {content} as _pen_content,
    {version} as _pen_version,
    {json} as _pen_json,
    {suspect} as _pen_suspect
  from field
),
judged as (
  select
    *,
    {misfit} as _pen_misfit,
    {fit} as _pen_fit,
    case
      when {misfit} or _pen_unknown is not null
        then list_concat(
          list_filter([{lost}]::varchar[], lambda x: x is not null), coalesce(_pen_unknown, []::varchar[])
        )
    end as _pen_lost
  from typed
)
select
  {columns}
  _pen_id,
  _pen_content,
  _pen_version,
  _pen_json,
  _pen_o,
  _pen_event_time,
  _pen_more,
  _pen_suspect,
  _pen_lost,
  case when (_pen_lost is not null or {full}) and not _pen_suspect then {rescued} end as _pen_rescued,
  case
    when _pen_suspect then null
    when _pen_missing then 'missing_identity'
    when {broken} then 'contract'
  end as _pen_reject
from judged
