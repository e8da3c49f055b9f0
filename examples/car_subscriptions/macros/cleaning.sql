{% macro plausible_date(column) -%}
  {#- 9999-12-31 and the like stand for nothing; a calendar must not run up to them. -#}
  case when {{ column }} between cast('1990-01-01' as date) and cast('2099-12-31' as date) then {{ column }} end
{%- endmacro %}


{% macro months_of(column) -%}
  {#- A term as a number, or as a word. -#}
  {%- set words = {
    'one': 1, 'two': 2, 'three': 3, 'six': 6, 'nine': 9, 'twelve': 12, 'eighteen': 18, 'twenty-four': 24,
    'thirty-six': 36, 'forty-eight': 48
  } -%}
  {%- set text = penstock.lowered(penstock.trimmed(column)) -%}
  case
    when length({{ text }}) <= 3 and translate({{ text }}, '0123456789', '') = '' then cast({{ text }} as integer)
    {%- for word, months in words.items() %}
    when {{ text }} = '{{ word }}' then {{ months }}
    {%- endfor %}
  end
{%- endmacro %}


{% macro midnight(date) -%}
  {%- if target.type == 'spark' -%}
    cast({{ date }} as timestamp_ltz)
  {%- else -%}
    (cast({{ date }} as timestamp) at time zone 'UTC')
  {%- endif -%}
{%- endmacro %}


{% macro last_said(column, where='true') -%}
  {#- Of the rows of a group that meet a condition, the column of the one that was said last. #}
  {%- if target.type == 'spark' -%}
    max_by({{ column }}, struct(applied_at, hash_diff)) filter (where {{ where }})
  {%- else -%}
    (array_agg({{ column }} order by applied_at desc, hash_diff desc) filter (where {{ where }}))[1]
  {%- endif -%}
{%- endmacro %}


{% macro percent(part, whole) -%}
  {#- With two decimals, half up, by whole numbers: the same on every engine. -#}
  {%- set doubled = '(20000 * ' ~ part ~ ' + ' ~ whole ~ ')' -%}
  cast(cast(({{ doubled }} - {{ doubled }} % (2 * {{ whole }})) / (2 * {{ whole }}) as bigint) * 0.01 as decimal(5, 2))
{%- endmacro %}


{% macro by_bytes(text) -%}
  {#- An order of texts that is the same on every engine, whatever its locale. -#}
  {{ text }}{% if target.type == 'postgres' %} collate "C"{% endif %}
{%- endmacro %}
