{#- dbt looks for these three in the project itself; all are the package's. -#}

{% macro generate_schema_name(custom_schema_name, node) -%}
  {{- penstock.schema_name(custom_schema_name) -}}
{%- endmacro %}

{% macro get_incremental_replacing_sql(arg_dict) -%}
  {{- return(penstock.replacing_sql(arg_dict)) -}}
{%- endmacro %}

{% macro get_incremental_insert_only_sql(arg_dict) -%}
  {{- return(penstock.insert_only_sql(arg_dict)) -}}
{%- endmacro %}
