{{ config(materialized='table') }}
{#- One text for a value, whatever holds it. -#}
{% set query = 'select * from ' ~ source('raw', 'odd') %}
{% set columns = ['said', 'flag', 'whole', 'exact', 'inexact', 'small', 'day', 'moment', 'instant', 'bytes', 'document'] %}
{% set types = penstock.column_types(columns, query) %}
select id,
  {%- for column in columns %}
  {{ penstock.canonical(column, types.get(column, 'text')) }} as {{ column }},
  {%- endfor %}
  {{ penstock.hash_diff(columns, types) }} as hash_diff
from {{ source('raw', 'odd') }}
