{#- How incremental models write: each gives the whole new content of the scopes (keys, dates) that new loads touched,
    and only the rows that differ from what is there are written. -#}

{% macro scoped(rows, touched, column, order_by=none) -%}
  {%- if is_incremental() -%}
  select {{ rows }}.{{ column }} as _pen_scope, {{ rows }}.*
  from {{ rows }}
  union all
  {#- Not a join of the two: PostgreSQL takes what is new for one row, and would go through all of it for each. #}
  select touched.{{ column }}, gone.*
  from {{ touched }} as touched
  left join (select * from {{ rows }} where false) as gone on false
  {%- else -%}
  select * from {{ rows }}
  {%- if order_by %}
  order by {{ order_by }}
  {%- endif %}
  {%- endif -%}
{%- endmacro %}


{% macro only(relation, column, touched, touched_column=none) -%}
  {{- return(adapter.dispatch('only', 'penstock')(relation, column, touched, touched_column or column)) -}}
{%- endmacro %}

{% macro default__only(relation, column, touched, touched_column) -%}
  select * from {{ relation }}
  {% if is_incremental() -%}
  where {{ column }} in (select {{ touched_column }} from {{ touched }})
  {%- endif %}
{%- endmacro %}

{#- DuckDB would read every column of every row before it joins: find the rows by one column, then fetch just those. -#}
{% macro duckdb__only(relation, column, touched, touched_column) -%}
  select * from {{ relation }}
  {% if is_incremental() -%}
  where {% if penstock.has_rows(relation) %}rowid in (select rowid from {{ relation }} where {% endif -%}
  {{ column }} in (select {{ touched_column }} from {{ touched }}){{ ')' if penstock.has_rows(relation) }}
  {%- endif %}
{%- endmacro %}

{#- Whether a relation that the model reads keeps rows of its own: a view, for one, has no rowid. -#}
{% macro has_rows(relation) -%}
  {%- for id in model.depends_on.nodes if id in graph.nodes -%}
    {%- set node = graph.nodes[id] -%}
    {%- if node.schema == relation.schema and (node.alias or node.name) == relation.identifier -%}
      {{- return(node.config.materialized not in ['view', 'ephemeral']) -}}
    {%- endif -%}
  {%- endfor -%}
  {{- return(true) -}}
{%- endmacro %}


{% macro replacing_sql(arguments) -%}
  {%- set columns = arguments.dest_columns | map(attribute='name') | list -%}
  {%- if run_query('select 1 from ' ~ arguments.temp_relation ~ ' limit 1').rows -%}
    {{- return(penstock.replacing(arguments.target_relation, arguments.temp_relation, arguments.unique_key, columns)) -}}
  {%- else -%}
    {{- return('select 1 where false') -}}
  {%- endif -%}
{%- endmacro %}

{% macro replacing(kept, fresh, unique_key, columns) -%}
  {%- set keys = [unique_key] if unique_key is string else unique_key -%}
  {%- set same -%}
    {%- for name in columns %}
      {{- ' and ' if not loop.first -}}
      kept.{{ name }} {{ '=' if name in keys else 'is not distinct from' }} fresh.{{ name }}
    {%- endfor -%}
  {%- endset -%}
  {{- return(adapter.dispatch('replace_rows', 'penstock')(kept, fresh, keys[0], columns, same)) -}}
{%- endmacro %}

{% macro default__replace_rows(kept, fresh, scope, columns, same) -%}
  {{ penstock.analyze(fresh) }}

  delete from {{ kept }} as kept
  where kept.{{ scope }} in (select _pen_scope from {{ fresh }})
    and not exists (select 1 from {{ fresh }} as fresh where {{ same }});

  insert into {{ kept }} ({{ columns | join(', ') }})
  select {{ columns | join(', ') }}
  from {{ fresh }} as fresh
  where fresh.{{ scope }} is not null
    and not exists (select 1 from {{ kept }} as kept where {{ same }});
{%- endmacro %}

{% macro duckdb__replace_rows(kept, fresh, scope, columns, same) -%}
  {#- Two steps: in one, every column of every row would be read. #}
  create or replace temporary table _pen_found as
  select rowid as _pen_row from {{ kept }} where {{ scope }} in (select _pen_scope from {{ fresh }});

  create or replace temporary table _pen_kept as
  select rowid as _pen_row, {{ columns | join(', ') }}
  from {{ kept }}
  where rowid in (select _pen_row from _pen_found);

  delete from {{ kept }}
  where rowid in (
    select _pen_row from _pen_kept as kept where not exists (select 1 from {{ fresh }} as fresh where {{ same }})
  );

  insert into {{ kept }} ({{ columns | join(', ') }})
  select {{ columns | join(', ') }}
  from {{ fresh }} as fresh
  where fresh.{{ scope }} is not null
    and not exists (select 1 from _pen_kept as kept where {{ same }});
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
