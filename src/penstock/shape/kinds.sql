-- What values the given fields hold, over the batch: the evidence from which a column's type is inferred.
with value as (
  select unnest(range(1, {count} + 1)) as i, unnest(t) as t, unnest(y) as y
  from (
    select json_extract_string(body, {paths}) as t, json_type(body, {paths}) as y
    from {source}
  )
),
plain as (
  select
    i,
    case when starts_with(t, chr(0)) then substr(t, 3) else t end as t,
    case when starts_with(t, chr(0)) then 'EXACT' else y end as y
  from value
  where y is not null and y <> 'NULL'
)
select
  i,
  count(*) as present,
  count(*) filter (where y in ('OBJECT', 'ARRAY')) as nested,
  count(*) filter (where y = 'BOOLEAN') as booleans,
  count(*) filter (where y in ('BIGINT', 'UBIGINT')) as integers,
  count(*) filter (where y = 'DOUBLE') as doubles,
  count(*) filter (where y = 'EXACT') as exacts,
  count(*) filter (where y = 'VARCHAR') as texts,
  count(*) filter (where y in ('BIGINT', 'UBIGINT') and try_cast(t as bigint) is null) as beyond_bigint,
  count(*) filter (where y in ('BIGINT', 'UBIGINT') and abs(try_cast(t as hugeint)) > 9007199254740992)
    as beyond_double,
  max(length(ltrim(split_part(t, '.', 1), '-'))) filter (where y in ('BIGINT', 'UBIGINT', 'DOUBLE', 'EXACT') and {plain_number})
    as whole_digits,
  max(length(split_part(t, '.', 2))) filter (where y in ('DOUBLE', 'EXACT') and {plain_number}) as fraction_digits,
  count(*) filter (where y = 'EXACT' and not ({plain_number} and length(t) <= 39)) as wild,
  count(*) filter (where y = 'VARCHAR' and regexp_full_match(t, '{date}') and t > '0001' and try_cast(t as date) is not null) as dates,
  count(*) filter (where y = 'VARCHAR' and regexp_full_match(t, '{timestamp}') and t > '0001' and try_cast(t as timestamp) is not null)
    as timestamps,
  count(*) filter (
    where y = 'VARCHAR' and regexp_full_match(t, '{timestamptz}') and try_cast(t as timestamptz) is not null
  ) as timestamptzs,
  count(*) filter (where y = 'VARCHAR' and regexp_full_match(t, '{uuid}')) as uuids,
  count(*) filter (where y = 'VARCHAR' and lower(t) in ('true', 'false')) as truths,
  count(*) filter (where y = 'VARCHAR' and regexp_full_match(t, '{integer}') and try_cast(t as bigint) is not null)
    as spelt_integers,
  count(*) filter (where y = 'VARCHAR' and regexp_full_match(t, '{number}') and (
    length(regexp_replace(t, '[^0-9]', '', 'g')) <= 15 or try_cast(t as double)::varchar = t
  )) as spelt_doubles,
  count(*) filter (where y = 'VARCHAR' and {plain_number} and length(t) <= 38) as spelt_decimals,
  max(length(ltrim(split_part(t, '.', 1), '-'))) filter (where y = 'VARCHAR' and {plain_number}) as spelt_whole,
  max(length(split_part(t, '.', 2))) filter (where y = 'VARCHAR' and {plain_number}) as spelt_fraction
from plain
group by i
