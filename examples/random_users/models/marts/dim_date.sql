{{ config(
  unique_key=['date_key'],
  indexes=penstock.indexes(['date_key'], [['date_day']]),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

with touched as (
  {{ penstock.touched(ref('stg_users'), {'registration_date': 'registration_date'}, 'users', window) }}
),

spanned as (
  select
    cast(date_trunc('year', min(registration_date)) as date) as first_day,
    cast(date_trunc('year', max(registration_date)) + interval '1 year' - interval '1 day' as date) as last_day
  from touched
  having count(registration_date) > 0
),

calendar as (
  select {{ penstock.days('least(first_day, known_first)', 'greatest(last_day, known_last)') }} as date_day
  from spanned
  cross join (
    {% if is_incremental() -%}
    select min(date_day) as known_first, max(date_day) as known_last from {{ this }}
    {%- else -%}
    select cast(null as date) as known_first, cast(null as date) as known_last
    {%- endif %}
  ) as known
),

described as (
  select
    {{ penstock.date_key('date_day') }} as date_key,
    date_day,
    cast(extract(year from date_day) as integer) as year_number,
    cast(extract(quarter from date_day) as integer) as quarter_of_year,
    cast(extract(month from date_day) as integer) as month_of_year,
    cast(extract(day from date_day) as integer) as day_of_month,
    cast(extract(week from date_day) as integer) as iso_week_of_year,
    cast(extract(isodow from date_day) as integer) as iso_day_of_week,
    extract(isodow from date_day) >= 6 as is_weekend
  from calendar
  {%- if not is_incremental() %}
  union all
  select {{ penstock.unknown_date_key() }}, null, null, null, null, null, null, null, null
  {%- endif %}
)

{{ penstock.scoped('described', 'described', 'date_key') }}
