{{ config(materialized='penstock', scope='hk_car', unique_key='hk_car') }}
-- Every car as it is now: as last said, with the last registration date that was one.
select
  hk_car,
  (array_agg(brand order by applied_at desc, hash_diff desc))[1] as brand,
  (array_agg(registered_on order by applied_at desc, hash_diff desc) filter (where registered_on is not null))[1]
    as registered_on,
  (array_agg(deregistered_on order by applied_at desc, hash_diff desc))[1] as deregistered_on
from {{ ref('sat_car') }}
where hk_car <> {{ penstock.unknown_hash() }} and hk_car <> {{ penstock.required_hash() }}
group by hk_car
