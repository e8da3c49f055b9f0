{#- How incremental models write: each gives the whole new content of the scopes (keys, dates) that new loads touched,
    and only the rows that differ from what is there are written. -#}

{% macro scoped(rows, touched, column) -%}
  {%- if is_incremental() -%}
  select _pen_touched.{{ column }} as _pen_scope, {{ rows }}.*
  from (select distinct {{ column }} from {{ touched }}) as _pen_touched
  left join {{ rows }} on {{ rows }}.{{ column }} = _pen_touched.{{ column }}
  {%- else -%}
  select * from {{ rows }}
  {%- endif -%}
{%- endmacro %}


{% macro replacing_sql(arguments) -%}
  {%- set target_table, fresh = arguments.target_relation, arguments.temp_relation -%}
  {%- set keys = [arguments.unique_key] if arguments.unique_key is string else arguments.unique_key -%}
  {%- set columns = arguments.dest_columns | map(attribute='name') | list -%}
  {%- set same -%}
    {%- for name in columns %}
      {{- ' and ' if not loop.first -}}
      {%- if name in keys -%} kept.{{ name }} = fresh.{{ name }}
      {%- else -%} kept.{{ name }} is not distinct from fresh.{{ name }}
      {%- endif -%}
    {%- endfor -%}
  {%- endset -%}
  {{ penstock.analyze(fresh) }}
  delete from {{ target_table }} as kept
  where kept.{{ keys[0] }} in (select _pen_scope from {{ fresh }})
    and not exists (select 1 from {{ fresh }} as fresh where {{ same }});

  insert into {{ target_table }} ({{ columns | join(', ') }})
  select {{ columns | join(', ') }}
  from {{ fresh }} as fresh
  where fresh.{{ keys[0] }} is not null
    and not exists (select 1 from {{ target_table }} as kept where {{ same }});
{%- endmacro %}


{% macro analyze(relation) -%}
  {{- return(adapter.dispatch('analyze', 'penstock')(relation)) -}}
{%- endmacro %}

{#- DuckDB keeps its statistics as it writes. -#}
{% macro default__analyze(relation) -%}{%- endmacro %}

{% macro postgres__analyze(relation) -%}
  analyze {{ relation }};
{%- endmacro %}


{% macro indexes(unique, others=[]) -%}
  {#- PostgreSQL only: DuckDB scans columns, and its unique indexes refuse a key deleted and inserted in one transaction. -#}
  {%- set found = [] -%}
  {%- if target.type == 'postgres' -%}
    {%- do found.append({'columns': unique, 'unique': true}) -%}
    {%- for columns in others -%}{%- do found.append({'columns': columns}) -%}{%- endfor -%}
  {%- endif -%}
  {{- return(found) -}}
{%- endmacro %}
