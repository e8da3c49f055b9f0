{{ config(materialized='penstock', scope='hk_car', unique_key='hk_car') }}
-- Every car as it is now: as last said, with the last registration date that was one.
select
  hk_car,
  {{ last_said('brand') }} as brand,
  {{ last_said('registered_on', where='registered_on is not null') }} as registered_on,
  {{ last_said('deregistered_on') }} as deregistered_on
from {{ ref('sat_car') }}
where hk_car <> {{ penstock.unknown_hash() }} and hk_car <> {{ penstock.required_hash() }}
group by hk_car
