{{ config(additive=['changes', 'infleeted', 'defleeted'], unique_key='date_day') }}
-- Cars that came and went a day. A car that is deregistered before it is registered was never there.
with cars as (
  select registered_on, case when deregistered_on >= registered_on then deregistered_on end as deregistered_on
  from {{ ref('int_car_states') }}
  where registered_on is not null
),

changes as (
  select registered_on as date_day, 1 as infleeted, 0 as defleeted from cars
  union all
  select deregistered_on, 0, 1 from cars where deregistered_on is not null
)

select
  date_day,
  count(*) as changes,
  cast(sum(infleeted) as bigint) as infleeted,
  cast(sum(defleeted) as bigint) as defleeted
from changes
group by date_day
