{#- dbt looks for these two in the project itself; both are the package's. -#}

{% macro generate_schema_name(custom_schema_name, node) -%}
  {{- penstock.schema_name(custom_schema_name) -}}
{%- endmacro %}

{% macro get_incremental_replacing_sql(arg_dict) -%}
  {{- return(penstock.replacing_sql(arg_dict)) -}}
{%- endmacro %}
