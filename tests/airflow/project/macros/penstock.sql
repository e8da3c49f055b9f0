{% macro generate_schema_name(custom_schema_name, node) -%}
  {{- penstock.schema_name(custom_schema_name) -}}
{%- endmacro %}
