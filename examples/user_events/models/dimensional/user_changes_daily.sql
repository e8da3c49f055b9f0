{{ config(
  additive=['changes', 'users_created', 'users_updated', 'users_deleted'],
  order_by='event_date',
  unique_key='event_date',
) }}
with changes as (
  select
    valid_from_date as event_date,
    case when opened_by = 'created' then 1 else 0 end as created,
    case when opened_by = 'updated' then 1 else 0 end as updated,
    0 as deleted
  from {{ ref('dim_user') }}
  union all
  select valid_to_date, 0, 0, 1
  from {{ ref('dim_user') }}
  where closed_by = 'deleted'
)

select
  event_date,
  count(*) as changes,
  cast(sum(created) as bigint) as users_created,
  cast(sum(updated) as bigint) as users_updated,
  cast(sum(deleted) as bigint) as users_deleted
from changes
group by event_date
