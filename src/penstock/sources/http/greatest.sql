with
  found as ({values}),
  ranked as (
    select
      v,
      is_number,
      case when not is_number and regexp_full_match(v, {time}) then try_cast(v as timestamptz) end as t
    from found
    where v is not null
  )
select
  arg_max(v, t) filter (where t <= {latest}::timestamptz),
  arg_max(v, try_cast(v as decimal(38, 9))) filter (where is_number),
  max(v),
  any_value(v) filter (where not is_number and t is null and v <> '')
from ranked
