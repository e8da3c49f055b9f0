{% macro hash_key(expressions) -%}
  {#- Each part is written as <length>:<text>, a missing one as `-`, so ('ab','c'), ('a','bc') and (null,'') all differ.
      A uuid, because sixteen bytes compare and index faster than thirty-two characters. -#}
  {%- set parts = [] -%}
  {%- for expression in expressions -%}{%- do parts.append(penstock.hash_part(expression) | trim) -%}{%- endfor -%}
  {{- penstock.uuid_of('md5(\n    ' ~ parts | join('\n    || ') ~ '\n  )') -}}
{%- endmacro %}


{% macro hash_part(expression) -%}
  {%- set text = 'cast(' ~ expression ~ ' as ' ~ penstock.text_type() ~ ')' -%}
  coalesce(cast(length({{ text }}) as {{ penstock.text_type() }}) || ':' || {{ text }}, '-')
{%- endmacro %}


{#- Thirty-two hexadecimal digits as a key. -#}
{% macro uuid_of(digits) -%}
  {{- return(adapter.dispatch('uuid_of', 'penstock')(digits)) -}}
{%- endmacro %}

{% macro default__uuid_of(digits) -%}{{- return('cast(' ~ digits ~ ' as uuid)') -}}{%- endmacro %}


{% macro text_type() -%}
  {{- return(adapter.dispatch('text_type', 'penstock')()) -}}
{%- endmacro %}

{% macro default__text_type() -%}{{- return('text') -}}{%- endmacro %}
