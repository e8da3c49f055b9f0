{#- dbt looks for this one in the project itself; it is the package's. -#}

{% macro generate_schema_name(custom_schema_name, node) -%}
  {{- penstock.schema_name(custom_schema_name) -}}
{%- endmacro %}
