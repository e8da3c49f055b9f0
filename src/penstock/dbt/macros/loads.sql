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


{#- Whether a node says how far it is. -#}
{% macro keeps_mark(node) -%}
  {%- set materialized = node.config.materialized -%}
  {{- return(materialized == 'penstock' or (materialized == 'incremental' and penstock.keeps_watermark(node))) -}}
{%- endmacro %}


{#- The models, snapshots and seeds that a node reads. -#}
{% macro parents_of(node) -%}
  {%- set parents = [] -%}
  {%- for id in node.depends_on.get('nodes', []) if id in graph.nodes -%}{%- do parents.append(graph.nodes[id]) -%}{%- endfor -%}
  {{- return(parents) -}}
{%- endmacro %}


{% macro upstream_models(node) -%}
  {#- The models with a watermark that `node` reads, directly or through views and tables that have none. -#}
  {%- set reads = [] -%}
  {%- for parent in penstock.parents_of(node) -%}
    {%- do reads.extend([penstock.model_name(parent)] if penstock.keeps_mark(parent) else penstock.upstream_models(parent)) -%}
  {%- endfor -%}
  {{- return(reads | unique | sort) -}}
{%- endmacro %}


{#- The streams whose rows reach a node through tables that have no watermark; of those `left_behind`, through such as
    this run of dbt's does not build. -#}
{% macro streams_by_tables(node, left_behind) -%}
  {%- set streams = [] -%}
  {%- for parent in penstock.parents_of(node) if not penstock.keeps_mark(parent) -%}
    {%- set built = parent.unique_id in selected_resources -%}
    {%- if parent.config.materialized in ['view', 'ephemeral'] or (left_behind and built) -%}
      {%- do streams.extend(penstock.streams_by_tables(parent, left_behind)) -%}
    {%- else -%}
      {%- do streams.extend(penstock.streams_through(parent)) -%}
    {%- endif -%}
  {%- endfor -%}
  {{- return(streams | unique | sort) -}}
{%- endmacro %}


{#- The streams that a node reads, also through others; without what comes by way of those `seen`. -#}
{% macro streams_through(node, seen=none) -%}
  {%- set streams, seen = [], {} if seen is none else seen -%}
  {%- for id in node.depends_on.get('nodes', []) if id not in seen -%}
    {%- do seen.update({id: true}) -%}
    {%- if id in graph.sources -%}
      {%- do streams.append(graph.sources[id].identifier | replace('__delta', '')) -%}
    {%- elif id in graph.nodes -%}
      {%- do streams.extend(penstock.streams_through(graph.nodes[id], seen)) -%}
    {%- endif -%}
  {%- endfor -%}
  {{- return(streams | unique | sort) -}}
{%- endmacro %}


{#- The load that a model goes no further than, whatever the models that it reads have taken in; but what it has taken
    in once, all that it reads still has. An incremental model that is built anew may read something else. -#}
{% macro upper_seq() -%}
  {%- if not execute -%}{{- return(0) -}}{%- endif -%}
  {%- set goes_on = config.get('materialized') == 'penstock' or is_incremental() -%}
  {%- set fixed, own = env_var('PENSTOCK_UPPER_SEQ', ''), penstock.watermark(this) if goes_on else 0 -%}
  {%- set reached = fixed | int if fixed else penstock.reached_by_all(own) -%}
  {%- if own <= reached -%}{{- return(reached) -}}{%- endif -%}
  {#- The watermark of a ledger that was emptied since says nothing. -#}
  {{- return(own if own <= penstock.newest_seq() else reached) -}}
{%- endmacro %}


{% macro newest_seq() -%}
  {{- return(penstock.ledger_rows('select coalesce(max(seq), 0) from ' ~ penstock.ledger('loads'))[0][0] | int) -}}
{%- endmacro %}


{#- In a run that Penstock did not plan: a table that is not built along is known to hold what the last full run of
    Penstock's had, and nothing of the loads of its streams since; one that is built along, what was committed before the
    run began, by a second, since a load says when just before its commit. -#}
{% macro reached_by_all(own) -%}
  {%- set upper, streams = penstock.newest_seq(), penstock.streams_by_tables(model, false) -%}
  {%- if not streams -%}{{- return(upper) -}}{%- endif -%}
  {%- set behind = penstock.streams_by_tables(model, true) -%}
  {%- set began = (run_started_at - modules.datetime.timedelta(seconds=1)).isoformat() -%}
  {%- set seen = 'select coalesce(max(upper_seq), 0) from ' ~ penstock.ledger('runs')
      ~ " where kind = 'transform' and status = 'success' and not coalesce(selected, false) and layer is null" -%}
  {%- set rows = penstock.ledger_rows('select coalesce(min(seq) - 1, ' ~ upper ~ '), (' ~ seen ~ ') from '
      ~ penstock.ledger('loads') ~ " where (stream in ('" ~ behind | join("', '") ~ "') and seq > (" ~ seen
      ~ ")) or (stream in ('" ~ streams | join("', '") ~ "') and committed_at >= cast('" ~ began
      ~ "' as timestamp with time zone))") -%}
  {%- set reached, seen = rows[0][0] | int, rows[0][1] | int -%}
  {%- if behind and not seen and not own and reached < upper and flags.WHICH in ['run', 'build'] -%}
    {%- do exceptions.raise_compiler_error(penstock.model_name(model) ~ ' reads a table that is not built along, and of which'
        ~ ' nothing tells up to which load it is: put a + before what is selected, or run penstock transform') -%}
  {%- endif -%}
  {%- if behind and [reached, own] | max < upper -%}
    {%- do log(penstock.model_name(model) ~ ' takes in loads up to ' ~ [reached, own] | max
        ~ ' only: a table that it reads is not built along and may be older than the others', info=true) -%}
  {%- endif -%}
  {{- return(reached) -}}
{%- endmacro %}


{% macro watermark(relation) -%}
  {%- if not execute -%}{{- return(0) -}}{%- endif -%}
  {%- set name = relation.schema ~ '.' ~ relation.identifier -%}
  {%- set rows = penstock.ledger_rows(
    "select coalesce(max(seq), 0) from " ~ penstock.ledger('watermarks') ~ " where model = '" ~ name ~ "'"
  ) -%}
  {{- return(rows[0][0] | int) -}}
{%- endmacro %}


{% macro window() -%}
  {{- return(adapter.dispatch('window', 'penstock')()) -}}
{%- endmacro %}

{% macro default__window() -%}
  {%- if not execute -%}{{- return({'after': 0, 'upto': 0}) -}}{%- endif -%}
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
  {{- adapter.dispatch('landed_in', 'penstock')(stream, window, column) -}}
{%- endmacro %}

{% macro default__landed_in(stream, window, column) -%}
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
