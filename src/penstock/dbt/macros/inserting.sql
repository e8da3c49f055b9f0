{#- The incremental strategy `insert_only`: a row whose unique key is there already is left out, and nothing is ever
    deleted or updated. -#}

{% macro insert_only_sql(arguments) -%}
  {%- set columns = arguments.dest_columns | map(attribute='name') | list -%}
  {%- if run_query('select 1 from ' ~ arguments.temp_relation ~ ' limit 1').rows -%}
    {{- return(penstock.inserting(arguments.target_relation, arguments.temp_relation, arguments.unique_key, columns)) -}}
  {%- else -%}
    {{- return('select 1 where false') -}}
  {%- endif -%}
{%- endmacro %}

{% macro inserting(kept, fresh, unique_key, columns) -%}
  {%- set keys = [unique_key] if unique_key is string else unique_key -%}
  {{- return(adapter.dispatch('insert_new', 'penstock')(kept, fresh, keys, columns)) -}}
{%- endmacro %}

{% macro default__insert_new(kept, fresh, keys, columns) -%}
  insert into {{ kept }} ({{ columns | join(', ') }})
  select {{ columns | join(', ') }}
  from {{ fresh }} as fresh
  where not exists (
    select 1 from {{ kept }} as kept
    where {% for key in keys %}{{ ' and ' if not loop.first }}kept.{{ key }} = fresh.{{ key }}{% endfor %}
  )
{%- endmacro %}

{#- The unique index decides, so two runs at once do not double a row. Both go by its order and cannot wait for each
    other. -#}
{% macro postgres__insert_new(kept, fresh, keys, columns) -%}
  insert into {{ kept }} ({{ columns | join(', ') }})
  select {{ columns | join(', ') }}
  from {{ fresh }}
  order by {{ keys | join(', ') }}
  on conflict ({{ keys | join(', ') }}) do nothing
{%- endmacro %}
