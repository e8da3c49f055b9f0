with cleaned as (
  select
    _pen_id,
    _pen_load,
    _pen_loaded_at,
    id as subscription_id,
    customer_id,
    car_id,
    {{ months_of('term_months') }} as term_months,
    {{ plausible_date('start_date') }} as starts_on,
    monthly_rate,
    created as created_at
  from {{ source('raw', 'subscriptions') }}
)

select
  *,
  cast(starts_on + interval '1 month' * term_months as date) as ends_on
from cleaned
