-- the records that can be taken apart; the others keep their place as null
create or replace temp table sound as
select
  row_number() over () as o,
  body as record,
  case
    when body in (select body from broken) or not json_valid(body) then null
    when json_type(body) = 'OBJECT' then body
  end as body
from records
