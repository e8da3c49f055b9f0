{#- The materialization `penstock` on Iceberg tables. A step computes what the model's SQL gives now, of the scopes that
    changed, or of all of it; and writes what differs from the table with one `merge`, which is one snapshot. Where
    nothing differs none is written.

    Spark has no transaction over an Iceberg table and the ledger: the snapshot comes first, then the ledger. The ledger
    says which snapshot it knows; a step that finds another one, as after a crash between the two, or after somebody
    else wrote, compares all of the table. What came and went of a model is read from its snapshots. -#}

{% materialization penstock, adapter='spark' -%}
  {%- set target_relation = this.incorporate(type='table') -%}
  {%- set name = penstock.model_name(model) -%}
  {%- do config.require('unique_key') -%}
  {%- do penstock.ensure_changes() -%}
  {{ run_hooks(pre_hooks, inside_transaction=False) }}
  {{ run_hooks(pre_hooks, inside_transaction=True) }}

  {%- set inputs = penstock.model_inputs(model) -%}
  {%- set definitions = penstock.view_definitions(inputs) -%}
  {%- set inputs = penstock.seen_through(inputs, definitions) -%}
  {%- set state = penstock.state_of(name, inputs, definitions) -%}
  {%- set snapshot = penstock.snapshot_of(this) -%}
  {%- do penstock.let_go() -%}
  {%- if snapshot is none or should_full_refresh() or not state.known
      or (state.relaid and config.get('mode') != 'insert_only') -%}
    {%- do penstock.build_table(target_relation, inputs, state) -%}
  {%- else -%}
    {%- do penstock.merge_step(target_relation, inputs, state, snapshot) -%}
  {%- endif -%}
  {%- do penstock.let_go() -%}

  {%- do apply_grants(target_relation, config.get('grants'), should_revoke=should_revoke(target_relation, true)) -%}
  {%- do persist_docs(target_relation, model) -%}
  {{ run_hooks(post_hooks, inside_transaction=True) }}
  {{ run_hooks(post_hooks, inside_transaction=False) }}
  {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}


{#- The table's snapshot, as text; none when there is no table. -#}
{% macro snapshot_of(relation) -%}
  {{- return(adapter.penstock_snapshot(relation.schema, relation.identifier)) -}}
{%- endmacro %}


{% macro spark__view_definitions(inputs) -%}
  {%- set definitions = {} -%}
  {%- for input in inputs -%}
    {%- for view in input.views if view | join('.') not in definitions -%}
      {%- set made = run_query('show create table ' ~ view | join('.')).rows[0][0] -%}
      {%- do definitions.update({view | join('.'): made.split('\nAS\n', 1)[-1]}) -%}
    {%- endfor -%}
  {%- endfor -%}
  {{- return(definitions) -}}
{%- endmacro %}


{% macro build_table(target_relation, inputs, state) -%}
  {#- One that ends halfway, or whose rows share a key, is built again. -#}
  {%- do penstock.ledger_rows("delete from penstock_lake.models where model = '" ~ penstock.model_name(model) ~ "'") -%}
  {%- set limited = inputs | selectattr('limited') | list -%}
  {%- do penstock.number_loads(0, state.upto) -%}
  {%- do penstock.bind_all(limited, penstock.so_far(limited, state)) -%}
  {%- set order_by = penstock.listed(config.get('order_by')) -%}
  {#- Of a catalog that has no views, none can be dropped. -#}
  {%- if run_query('show views in ' ~ this.schema ~ " like '" ~ this.identifier ~ "'").rows -%}
    {%- do run_query('drop view ' ~ this) -%}
  {%- endif -%}
  {%- call statement('main') -%}
    create or replace table {{ target_relation }} using iceberg
    {{ partition_cols(label='partitioned by') }}
    tblproperties (
      {%- for property, value in dict({'write.merge.mode': 'copy-on-write'}, **config.get('tblproperties', {})).items() %}
      '{{ property }}' = '{{ value }}'{{ ',' if not loop.last }}
      {%- endfor %}
    )
    as select * from ({{ penstock.spark_bound(limited) }}) as all_rows
    {% if order_by %}order by {{ order_by | join(', ') }}{% endif %}
  {%- endcall -%}
  {%- if penstock.shared_keys(this) -%}{%- do penstock.refuse_shared_keys() -%}{%- endif -%}
  {%- set columns = penstock.table_types(this) -%}
  {%- do penstock.keep_built(inputs, state, columns, invocation_id, penstock.snapshot_made(this), true) -%}
{%- endmacro %}


{#- The snapshot that was made here: that which follows the one that a step began with, or, without one, the last that
    this Spark made. It is never another process's that wrote meanwhile, as one does that lost its claim: the next step
    finds that the table has moved on. -#}
{% macro snapshot_made(relation, before=none) -%}
  {{- return(adapter.penstock_snapshot_made(relation.schema, relation.identifier, before)) -}}
{%- endmacro %}


{#- What the ledger is told of a model as it is now. -#}
{% macro keep_built(inputs, state, types, version, snapshot, anew) -%}
  {%- set name = penstock.model_name(model) -%}
  {%- set own = config.get('mode') in ['insert_only', 'pit'] -%}
  {%- set mode = config.get('mode') if own else penstock.mode_of() -%}
  {%- set reason = '' if mode == 'insert_only' else penstock.why_whole(mode, penstock.pit_inputs(inputs) if own else inputs,
      types.keys() | list, penstock.merged_streams(inputs), types) -%}
  {%- if reason -%}{%- do log(name ~ ' is built whole with each step: ' ~ reason, info=true) -%}{%- endif -%}
  {%- do penstock.mark_in_ledger(name, state, version, {
    'snapshot': snapshot,
    'read': penstock.snapshots_read(state),
    'mode': 'whole' if reason else mode,
    'types': types,
  }, anew) -%}
{%- endmacro %}


{#- By model that is read, the snapshot that it has now, as the ledger knows it. -#}
{% macro snapshots_read(state) -%}
  {%- set read = {} -%}
  {%- for one in state.read -%}
    {%- do read.update({one: fromjson(state.stored[one].step).snapshot if one in state.stored else ''}) -%}
  {%- endfor -%}
  {{- return(read) -}}
{%- endmacro %}


{% macro merge_step(target_relation, inputs, state, snapshot) -%}
  {%- set kept = fromjson(state.step) -%}
  {%- set read = penstock.snapshots_read(state) -%}
  {%- set opaque = penstock.is_opaque(inputs) -%}
  {%- set news = opaque or not state.same or snapshot != kept.snapshot or read != kept.read
      or penstock.has_landed(state.streams, state.after, state.upto) -%}
  {%- if not news -%}
    {%- call statement('main') -%}select 1 where false{%- endcall -%}
    {%- if state.upto > state.after or not state.marked or not state.prepared -%}
      {%- do penstock.mark_in_ledger(penstock.model_name(model), state, state.version, kept, not state.marked) -%}
    {%- endif -%}
    {{- return('') -}}
  {%- endif -%}
  {#- A table that was built anew before the ledger missed it may have other columns. -#}
  {%- set types = kept.types if snapshot == kept.snapshot else penstock.table_types(this) -%}
  {%- set adds = config.get('mode') == 'insert_only' -%}
  {%- if not adds -%}{%- do penstock.number_loads(0, state.upto) -%}{%- endif -%}
  {%- if adds -%}
    {%- do penstock.add_missing(inputs, state, kept, snapshot, types.keys() | list) -%}
  {%- elif (snapshot != kept.snapshot and penstock.shared_keys(this))
      or (not state.same and penstock.columns_move(inputs, types, state)) -%}
    {%- do penstock.build_table(target_relation, inputs, state) -%}
    {{- return('') -}}
  {%- endif -%}
  {%- set columns = types.keys() | list -%}
  {%- set part = state.same and state.marked and not opaque and snapshot == kept.snapshot and kept.mode != 'whole' -%}
  {%- if adds -%}
    {#- Made ready above. #}
  {%- elif part and state.upto > state.after and penstock.snapshots_are_there(inputs, kept.read, read) -%}
    {%- do penstock[kept.mode ~ '_rows'](inputs, state, kept, columns) -%}
  {%- else -%}
    {%- do penstock.all_rows(inputs, state, columns) -%}
  {%- endif -%}
  {%- set written = penstock.merge_differences(target_relation, columns) -%}
  {%- set left = penstock.snapshot_made(this, snapshot) if written else snapshot -%}
  {%- if state.same and state.prepared and snapshot == kept.snapshot -%}
    {%- do penstock.mark_in_ledger(penstock.model_name(model), state, state.version,
        dict(kept, snapshot=left, read=read), not state.marked) -%}
  {%- else -%}
    {#- Who read a table while another process had written it does not follow from its changes: it compares all, too. -#}
    {%- set version = state.version if (state.same or adds) and snapshot == kept.snapshot else invocation_id -%}
    {%- do penstock.keep_built(inputs, state, types, version, left, not state.marked) -%}
  {%- endif -%}
{%- endmacro %}


{#- Whether the model's SQL has other columns than its table, and the table is to follow: it is built anew then. -#}
{% macro columns_move(inputs, types, state) -%}
  {%- set on_change = incremental_validate_on_schema_change(config.get('on_schema_change'), default='ignore') -%}
  {%- if on_change == 'ignore' -%}{{- return(false) -}}{%- endif -%}
  {%- set limited = inputs | selectattr('limited') | list -%}
  {%- do penstock.bind_all(limited, 'true') -%}
  {%- do run_query('create or replace temporary view _pen_shape as ' ~ penstock.spark_bound(limited)) -%}
  {%- set fresh = {} -%}
  {%- for row in run_query('describe _pen_shape').rows -%}{%- do fresh.update({row[0]: row[1]}) -%}{%- endfor -%}
  {%- if fresh == types -%}{{- return(false) -}}{%- endif -%}
  {%- set gone = types.keys() | reject('in', fresh.keys() | list) | list -%}
  {%- if on_change == 'fail' or (on_change == 'append_new_columns' and gone) -%}
    {%- do exceptions.raise_compiler_error('the columns of ' ~ this ~ ' are others than its SQL gives, and on_schema_change'
      ~ ' is ' ~ on_change ~ ': build it with --full-refresh') -%}
  {%- endif -%}
  {{- return(true) -}}
{%- endmacro %}
