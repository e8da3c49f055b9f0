{#- Which loads a model takes in. Positions are commit numbers (`penstock.loads.seq`), never load ids: a load that
    began early may commit late, and only `seq` says what a reader has seen. -#}

{% macro ledger(table) -%}
  {{- return(adapter.dispatch('ledger', 'penstock')(table)) -}}
{%- endmacro %}

{% macro default__ledger(table) -%}
  {#- The catalog is named too, because a DuckDB file called penstock.duckdb is itself a catalog `penstock`. -#}
  {{- return(api.Relation.create(database=target.database, schema='penstock', identifier=table)) -}}
{%- endmacro %}


{#- What a statement on the tables of the ledger, or beside them, gives. -#}
{% macro ledger_rows(statement) -%}
  {{- return(adapter.dispatch('ledger_rows', 'penstock')(statement)) -}}
{%- endmacro %}

{% macro default__ledger_rows(statement) -%}{{- return(run_query(statement).rows) -}}{%- endmacro %}


{% macro model_name(node) -%}
  {{- return(node.schema ~ '.' ~ (node.alias or node.name)) -}}
{%- endmacro %}


{% macro upstream_models(node) -%}
  {#- The incremental models that `node` reads, directly or through views. -#}
  {%- set found = [] -%}
  {%- for id in node.depends_on.nodes if id.startswith('model.') -%}
    {%- set parent = graph.nodes[id] -%}
    {%- if parent.config.materialized == 'incremental' -%}
      {%- do found.append(penstock.model_name(parent)) -%}
    {%- else -%}
      {%- do found.extend(penstock.upstream_models(parent)) -%}
    {%- endif -%}
  {%- endfor -%}
  {{- return(found | unique | sort) -}}
{%- endmacro %}


{% macro upper_seq() -%}
  {%- if not execute -%}{{- return(0) -}}{%- endif -%}
  {%- set fixed = env_var('PENSTOCK_UPPER_SEQ', '') -%}
  {%- if fixed -%}{{- return(fixed | int) -}}{%- endif -%}
  {{- return(penstock.ledger_rows('select coalesce(max(seq), 0) from ' ~ penstock.ledger('loads'))[0][0] | int) -}}
{%- endmacro %}


{% macro watermark(relation) -%}
  {%- if not execute -%}{{- return(0) -}}{%- endif -%}
  {%- set name = relation.schema ~ '.' ~ relation.identifier -%}
  {%- set rows = run_query(
    "select coalesce(max(seq), 0) from " ~ penstock.ledger('watermarks') ~ " where model = '" ~ name ~ "'"
  ) -%}
  {{- return(rows.columns[0].values()[0] | int) -}}
{%- endmacro %}


{% macro window() -%}
  {%- if not execute -%}{{- return({'after': 0, 'upto': 0}) -}}{%- endif -%}
  {%- do adapter.dispatch('expect_incremental', 'penstock')() -%}
  {%- if penstock.preparing() -%}{{- return(penstock.any_window()) -}}{%- endif -%}
  {%- if is_incremental() -%}{%- do penstock.expect_few_rows() -%}{%- endif -%}
  {%- set own, read = this.schema ~ '.' ~ this.identifier, penstock.upstream_models(model) -%}
  {%- set rows = run_query(
    "select model, seq from " ~ penstock.ledger('watermarks') ~ " where model in ('" ~ ([own] + read) | join("', '") ~ "')"
  ) -%}
  {%- set known = {} -%}
  {%- for row in rows.rows -%}{%- do known.update({row[0]: row[1] | int}) -%}{%- endfor -%}
  {%- set limits = [penstock.upper_seq()] -%}
  {%- for name in read -%}{%- do limits.append(known.get(name, 0)) -%}{%- endfor -%}
  {{- return({'after': known.get(own, 0) if is_incremental() else 0, 'upto': limits | min}) -}}
{%- endmacro %}


{#- An error where models cannot keep a watermark by a hook. -#}
{% macro default__expect_incremental() -%}{%- endmacro %}


{% macro expect_few_rows() -%}
  {{- return(adapter.dispatch('expect_few_rows', 'penstock')()) -}}
{%- endmacro %}

{% macro default__expect_few_rows() -%}{%- endmacro %}

{#- A step looks up some thousand keys of tables whose indexes are in memory. PostgreSQL's default counts each look-up
    as four disk pages, and would sooner read the whole table. For this connection only. -#}
{% macro postgres__expect_few_rows() -%}
  {%- do run_query(penstock.few_rows_expected(false)) -%}
{%- endmacro %}

{% macro few_rows_expected(in_transaction) -%}
  {{- return(adapter.dispatch('few_rows_expected', 'penstock')(in_transaction)) -}}
{%- endmacro %}

{% macro default__few_rows_expected(in_transaction) -%}{{- return('') -}}{%- endmacro %}

{% macro postgres__few_rows_expected(in_transaction) -%}
  {{- return(
    "select set_config('random_page_cost', least(cast(current_setting('random_page_cost') as float), 1.1)::text, "
    ~ in_transaction ~ ")"
  ) -}}
{%- endmacro %}


{% macro takes_in(window) -%}
  /* penstock takes in {{ window.after }}..{{ window.upto }} */
{%- endmacro %}


{% macro of_stream(stream) -%}
  {{- return('' if stream is none else "stream = '" ~ stream ~ "' and ") -}}
{%- endmacro %}


{% macro new_loads(stream, window) -%}
  {%- if not execute or window.upto <= window.after -%}{{- return([]) -}}{%- endif -%}
  {%- set rows = run_query(
    "select load_id from " ~ penstock.ledger('loads') ~ " where " ~ penstock.of_stream(stream) ~ "seq > " ~ window.after
    ~ " and seq <= " ~ window.upto ~ " and landed > 0 order by load_id limit 1001"
  ) -%}
  {{- return(rows.columns[0].values() | map('int') | list) -}}
{%- endmacro %}


{% macro landed_in(stream, window, column='_pen_load') -%}
  {%- set all_of_them -%}
    {{ column }} in (
      select load_id from {{ penstock.ledger('loads') }}
      where {{ penstock.of_stream(stream) }}seq > {{ window.after }} and seq <= {{ window.upto }}
    )
  {%- endset -%}
  {%- if not is_incremental() -%}
    {{ all_of_them }}
  {%- elif penstock.preparing() -%}
    /* penstock loads of {{ stream or '' }} in {{ column }} */ {{ all_of_them }} /* penstock loads end */
  {%- else -%}
    {%- set loads = penstock.new_loads(stream, window) -%}
    {%- if not loads -%}
      false
    {%- elif loads | length == 1 -%}
      {{ column }} = {{ loads[0] }}
    {%- elif loads | length <= 1000 -%}
      {#- Literals, so that an index or a zone map can answer; never a bare range, since a load
          whose id lies inside it may commit while this runs. -#}
      {{ column }} between {{ loads | min }} and {{ loads | max }} and {{ column }} in ({{ loads | join(', ') }})
    {%- else -%}
      {{ column }} >= {{ loads | min }} and {{ all_of_them }}
    {%- endif -%}
  {%- endif -%}
{%- endmacro %}


{% macro touched(relation, columns, stream, window) -%}
  select distinct
    {%- for name, expression in columns.items() %}
    {{ expression }} as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
  from {{ relation }}
  where {{ penstock.landed_in(stream, window) }}
{%- endmacro %}
