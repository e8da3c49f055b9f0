{{ config(materialized='table') }}
{#- Two sequence columns: the first gives the times, the second decides within one; a null key part never matters. -#}
with events as (
  select 'a' as tenant, 1 as number, 10 as moment, 2 as place, 'second' as state, false as gone
  union all select 'a', 1, 10, 1, 'first', false
  union all select 'a', 1, 10, null, 'before', false
  union all select 'a', 1, 20, 1, 'second', true
  union all select 'a', 1, 20, 2, 'third', false
  union all select 'a', 2, null, 1, 'timeless', false
  union all select 'b', 1, 5, 1, null, false
  union all select 'b', 1, 6, 1, 'set', null
)

{{ '' }}select * from (
  {{ penstock.history(
    'events', key=['tenant', 'number'], sequence=['moment', 'place'], tracked=['state'], delete_when='gone'
  ) }}
) as versions
