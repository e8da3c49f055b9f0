{#- The texts that hash diffs are made of, as the other engines write them. -#}

{% macro spark__digest(text) -%}
  {{ penstock.uuid_of('left(sha2(' ~ text ~ ', 256), 32)') }}
{%- endmacro %}


{#- By the names that these types have elsewhere. -#}
{% macro spark__column_types(columns, query) -%}
  {%- if not execute or not columns -%}{{- return({}) -}}{%- endif -%}
  {%- set elsewhere = {
    'string': 'text', 'int': 'integer', 'timestamp': 'timestamp with time zone', 'timestamp_ntz': 'timestamp',
    'binary': 'bytea', 'void': 'unknown',
  } -%}
  {%- set types = {} -%}
  {%- for row in run_query('describe query ' ~ query).rows if row[0] in columns -%}
    {%- do types.update({row[0]: elsewhere.get(row[1], row[1])}) -%}
  {%- endfor -%}
  {{- return(types) -}}
{%- endmacro %}


{% macro spark__canonical_number(expression) -%}
  {%- set text = 'cast(' ~ expression ~ ' as string)' -%}
  case when {{ text }} like '%.%' then trim(trailing '.' from trim(trailing '0' from {{ text }})) else {{ text }} end
{%- endmacro %}


{#- Spark writes some numbers in other digits than the shortest that give them back. -#}
{% macro spark__canonical_float(expression) -%}
  {%- do exceptions.raise_compiler_error('not yet: hash diff on Spark: ' ~ expression ~ ' is a floating-point number: cast it'
    ~ ' to a decimal, or to text, in the model that the vault reads') -%}
{%- endmacro %}


{#- Spark counts a year 0, and writes a plus before a year of five digits. -#}
{% macro spark__canonical_time(expression) -%}
  {%- set text = 'replace(cast(' ~ expression ~ " as string), ' ', 'T')" -%}
  (case
    when year({{ expression }}) < 1
      then lpad(cast(1 - year({{ expression }}) as string), 4, '0') || regexp_replace({{ text }}, '^-?[0-9]+', '') || ' BC'
    else regexp_replace({{ text }}, '^[+]', '')
  end)
{%- endmacro %}
