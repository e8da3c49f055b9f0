{% macro unknown_key() -%}
  {{- return(adapter.dispatch('unknown_key', 'penstock')()) -}}
{%- endmacro %}

{% macro default__unknown_key() -%}{{- return("cast('00000000-0000-0000-0000-000000000000' as uuid)") -}}{%- endmacro %}


{% macro unknown_label() -%}'(unknown)'{%- endmacro %}


{% macro unknown_member(key, columns, described={}) -%}
  select
    {{ penstock.unknown_key() }} as {{ key }}
    {%- for name in columns %},
    {{ described.get(name, 'null') }} as {{ name }}
    {%- endfor %}
{%- endmacro %}


{% macro dimension(relation, key, natural_key, columns, unknown=none) -%}
  {%- set naturals = [natural_key] if natural_key is string else natural_key -%}
  select
    {{ penstock.hash_key(naturals) }} as {{ key }},
    {{ (naturals + columns) | join(', ') }}
  from {{ relation }}
  {%- if unknown %}
  union all
  {{ penstock.unknown_member(key, naturals + columns, unknown) }}
  {%- endif %}
{%- endmacro %}


{% macro days(first, last) -%}
  {{- return(adapter.dispatch('days', 'penstock')(first, last)) -}}
{%- endmacro %}

{% macro default__days(first, last) -%}
  cast(unnest(generate_series(cast({{ first }} as timestamp), cast({{ last }} as timestamp), interval '1 day')) as date)
{%- endmacro %}

{% macro postgres__days(first, last) -%}
  cast(generate_series(cast({{ first }} as timestamp), cast({{ last }} as timestamp), interval '1 day') as date)
{%- endmacro %}


{% macro months(first, last) -%}
  {{- return(adapter.dispatch('months', 'penstock')(first, last)) -}}
{%- endmacro %}

{% macro default__months(first, last) -%}
  cast(unnest(generate_series(
    date_trunc('month', cast({{ first }} as timestamp)), cast({{ last }} as timestamp), interval '1 month'
  )) as date)
{%- endmacro %}

{% macro postgres__months(first, last) -%}
  cast(generate_series(
    date_trunc('month', cast({{ first }} as timestamp)), cast({{ last }} as timestamp), interval '1 month'
  ) as date)
{%- endmacro %}


{% macro member_key(naturals, known=none) -%}
  case
    when {{ known or 'not (' ~ naturals | join(' is null and ') ~ ' is null)' }}
      then {{ penstock.hash_key(naturals) }}
    else {{ penstock.unknown_key() }}
  end
{%- endmacro %}


{% macro date_key(date) -%}
  cast(extract(year from {{ date }}) * 10000 + extract(month from {{ date }}) * 100 + extract(day from {{ date }})
    as integer)
{%- endmacro %}


{% macro unknown_date_key() -%}0{%- endmacro %}


{#- From 1, a Monday, to 7. -#}
{% macro iso_day_of_week(date) -%}
  {{- return(adapter.dispatch('iso_day_of_week', 'penstock')(date)) -}}
{%- endmacro %}

{% macro default__iso_day_of_week(date) -%}{{- return('extract(isodow from ' ~ date ~ ')') -}}{%- endmacro %}


{#- All years of the dates, whole: read from something small, such as a report by day. -#}
{% macro date_dimension(relation, column, unknown=false) -%}
with spanned as (
  select
    cast(date_trunc('year', min({{ column }})) as date) as first_day,
    cast(date_trunc('year', max({{ column }})) + interval '1 year' - interval '1 day' as date) as last_day
  from {{ relation }}
),

calendar as (
  select {{ penstock.days('first_day', 'last_day') }} as date_day
  from spanned
  where first_day is not null
)

select
  {{ penstock.date_key('date_day') }} as date_key,
  date_day,
  cast(extract(year from date_day) as integer) as year_number,
  cast(extract(quarter from date_day) as integer) as quarter_of_year,
  cast(extract(month from date_day) as integer) as month_of_year,
  cast(extract(day from date_day) as integer) as day_of_month,
  cast(extract(week from date_day) as integer) as iso_week_of_year,
  cast({{ penstock.iso_day_of_week('date_day') }} as integer) as iso_day_of_week,
  {{ penstock.iso_day_of_week('date_day') }} >= 6 as is_weekend
from calendar
{%- if unknown %}
union all
select {{ penstock.unknown_date_key() }}, null, null, null, null, null, null, null, null
{%- endif %}
{%- endmacro %}
