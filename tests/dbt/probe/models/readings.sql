{{ config(materialized='table') }}
select id,
  {{ penstock.trimmed('said') }} as said,
  {{ penstock.lowered('said') }} as lowered,
  {{ penstock.uppered('said') }} as uppered,
  {%- for column in ['plain', 'zoned', 'day', 'spelt', 'odd'] %}
  {{ penstock.instant(source('raw', 'readings'), column, 'o/d~d' if column == 'odd' else none) }} as {{ column }}{{ ',' if not loop.last }}
  {%- endfor %}
from {{ source('raw', 'readings') }}
