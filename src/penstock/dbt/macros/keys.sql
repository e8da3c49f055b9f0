{% macro hash_key(expressions) -%}
  {#- Each part is written as <length>:<text>, a missing one as `-`, so ('ab','c'), ('a','bc') and (null,'') all differ.
      A uuid, because sixteen bytes compare and index faster than thirty-two characters. -#}
  cast(md5(
    {%- for expression in expressions %}
    {{ '|| ' if not loop.first }}{{ penstock.hash_part(expression) }}
    {%- endfor %}
  ) as uuid)
{%- endmacro %}


{% macro hash_part(expression) -%}
  {%- set text = 'cast(' ~ expression ~ ' as text)' -%}
  coalesce(cast(length({{ text }}) as text) || ':' || {{ text }}, '-')
{%- endmacro %}
