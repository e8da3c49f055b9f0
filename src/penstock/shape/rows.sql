-- Parsed records to typed rows. A field's value goes to the first of its columns that it fits; what fits
-- none is lost to the columns, like a field that has none, and is rescued. Names of our own start with _pen_,
-- which no column of a stream can.
with parsed as (
  select
    o as _pen_o,
    body as _pen_body,
    json_normalize(body) as _pen_c,
    {keys} as _pen_k,
    json_extract_string(body, {paths}) as t,
    json_type(body, {paths}) as y
  from records
),
field as (
  select
    _pen_o,
    _pen_body,
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
    {unknown} as _pen_unknown,
    {missing} as _pen_missing,
    {identity} as _pen_id,
    {content} as _pen_content
  from field
),
judged as (
  select
    *,
    {misfit} as _pen_misfit,
    case
      when {misfit} or _pen_unknown is not null
        then list_concat(list_filter([{lost}]::varchar[], lambda x: x is not null), coalesce(_pen_unknown, []))
    end as _pen_lost
  from typed
  where {window}
)
select
  {columns}
  _pen_id,
  _pen_content,
  _pen_o,
  _pen_lost,
  case when _pen_lost is not null then {rescued} end as _pen_rescued,
  case when _pen_missing then 'missing_identity' when {broken} then 'contract' end as _pen_reject
from judged
