{{ config(tags=['whole_table']) }}
-- The parts of a whole are all of it, but for what rounding takes or gives.
select part, total
from (
  select brand as part, sum(share_percent) as total
  from {{ ref('active_customer_share') }}
  group by month_start, brand
  union all
  select cast(term_months as {{ penstock.text_type() }}), sum(share_percent) from {{ ref('customer_types_by_term') }} group by term_months
) as wholes
where total not between 99.98 and 100.02
