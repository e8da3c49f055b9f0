-- Records that a machine wrote one like the other. Proof that a record is what its template says: with the values that
-- were read from it put into the template, it comes out again, byte for byte. A key twice, a trailing comma, an escape,
-- a number in another spelling than its own, nesting: whatever else a record holds does not survive that, so the text
-- needs no other check. What has no such proof, or a value that does not fit, is left to rows.sql.
with parsed as (
  select
    o as _pen_o,
    body as _pen_raw,
    try(from_json(body, {structure})) as s
  from {source}
),
field as (
  select
    _pen_o,
    _pen_raw,
    {texts}
  from parsed
),
piece as (
  select
    *,
    {pieces}
  from field
),
typed as (
  select
    *,
    coalesce(_pen_raw = {again} and strlen(_pen_raw) <= {max_bytes} and not ({unfit}), false) as _pen_same,
    {canonical} as _pen_c,
    {values}
    {event_time} as _pen_event_time
  from piece
)
-- no filter: it would be pushed down, and with it every reading of s
select
  {columns}
  case when _pen_same then {identity} end as _pen_id,
  case when _pen_same then {content} end as _pen_content,
  {version} as _pen_version,
  {json} as _pen_json,
  _pen_o,
  _pen_event_time,
  _pen_same and not ({misfit}) as _pen_same,
  false as _pen_more,
  false as _pen_suspect,
  null::varchar[] as _pen_lost,
  null::varchar as _pen_rescued,
  null::varchar as _pen_reject
from typed
