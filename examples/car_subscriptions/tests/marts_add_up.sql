{{ config(tags=['whole_table']) }}
-- What the marts count adds up to what is in core.
select counted, in_mart, in_core
from (
  select
    'subscriptions by term' as counted,
    (select sum(subscriptions) from {{ ref('customer_types_by_term') }}) as in_mart,
    (select count(*) from {{ ref('hub_subscription') }} where record_source <> 'ghost') as in_core
  union all
  select
    'deliveries',
    (select sum(deliveries) from {{ ref('weekly_deliveries') }}),
    (select count(*) from {{ ref('subscription_periods') }})
  union all
  select
    'infleeted cars',
    (select sum(infleeted) from {{ ref('fleet_by_day') }}),
    (
      select count(distinct hk_car) from {{ ref('sat_car') }}
      where record_source <> 'ghost' and registered_on is not null
    )
  union all
  select
    'active customers of the last month, by brand',
    (
      select sum(customers) from {{ ref('active_customer_share') }}
      where month_start = (select max(month_start) from {{ ref('active_customer_share') }})
    ),
    (
      select count(*)
      from (
        select distinct periods.hk_customer, coalesce(periods.brand, {{ penstock.unknown_label() }})
        from {{ ref('subscription_periods') }} as periods
        cross join (select max(month_start) as month_start from {{ ref('active_customer_share') }}) as last_month
        where periods.starts_on < last_month.month_start + interval '1 month'
          and periods.ends_on > last_month.month_start
      ) as active
    )
) as counts
where coalesce(in_mart, 0) <> in_core
