{% macro schema_name(custom_schema_name) -%}
  {{- return((custom_schema_name or target.schema) | trim) -}}
{%- endmacro %}
