{#- The materialization `penstock`: a table that is kept as the model's SQL would build it, at a cost that follows what
    came and went of what it reads. The model is ordinary SQL over ref() and source(). -#}

{% materialization penstock, default -%}
  {%- set existing = load_cached_relation(this) -%}
  {%- set target_relation = this.incorporate(type='table') -%}
  {%- set name = penstock.model_name(model) -%}
  {%- do config.require('unique_key') -%}
  {%- do penstock.ensure_changes() -%}

  {{ run_hooks(pre_hooks, inside_transaction=False) }}
  {%- call statement('begin', auto_begin=True) -%}select 1{%- endcall -%}
  {{ run_hooks(pre_hooks, inside_transaction=True) }}

  {%- set inputs = penstock.model_inputs(model) -%}
  {%- set definitions = penstock.view_definitions(inputs) -%}
  {%- set inputs = penstock.seen_through(inputs, definitions) -%}
  {%- set state = penstock.state_of(name, inputs, definitions) -%}
  {%- set fresh = existing is none or existing.type != 'table' or should_full_refresh() or not state.known or state.relaid -%}
  {%- if fresh -%}
    {%- if state.relaid -%}
      {%- do log(name ~ ' is built anew: its key, its scope or the layout of its table is another', info=true) -%}
    {%- endif -%}
    {%- do penstock.build_anew(existing, target_relation, inputs, state) -%}
  {%- else -%}
    {%- do penstock.expect_few_rows() -%}
    {%- do penstock.take_step(target_relation, inputs, state) -%}
  {%- endif -%}

  {%- do apply_grants(target_relation, config.get('grants'), should_revoke=should_revoke(existing, fresh)) -%}
  {%- do persist_docs(target_relation, model) -%}
  {{ run_hooks(post_hooks, inside_transaction=True) }}
  {%- do adapter.commit() -%}
  {{ run_hooks(post_hooks, inside_transaction=False) }}
  {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}


{#- How a model was built last, and between which commits it is to be built now. `basis` changes when its SQL does, or
    when something that it reads was built anew: what it holds does not follow from changes then. `relaid` says that its
    table is laid out in another way than its configuration asks for now, or that a history has other columns: that is
    kept behind its definition, and not known of one that an older version of this package built. -#}
{% macro state_of(name, inputs, definitions) -%}
  {%- set reads = [] -%}
  {%- for input in inputs -%}{%- do reads.extend(input.reads) -%}{%- endfor -%}
  {%- set reads = reads | unique | list -%}
  {%- set definition = local_md5(sql ~ tojson([
      config.get('mode'), config.get('scope'), config.get('additive'), config.get('sources'), config.get('unique_key'),
    ]) ~ tojson(definitions, sort_keys=true)) -%}
  {%- set layout = local_md5(tojson([
      config.get('unique_key'), config.get('scope'), config.get('indexes'), config.get('fillfactor'), config.get('order_by'),
      model.get('contract', {}).get('checksum'), '' if penstock.history_told() is none else sql.rpartition('select')[2],
    ])) -%}
  {%- set names = "('" ~ ([name] + reads) | join("', '") ~ "')" -%}
  {%- set stored, versions = {}, [definition] -%}
  {%- for row in penstock.ledger_rows('select model, definition, version, basis, step, fingerprint from '
      ~ penstock.changes_table('models') ~ ' where model in ' ~ names ~ ' order by model') -%}
    {%- do stored.update({row[0]: {'layout': row[1].partition(' ')[2], 'version': row[2], 'basis': row[3], 'step': row[4], 'fingerprint': row[5]}}) -%}
  {%- endfor -%}
  {%- set read = {} -%}
  {%- for one in reads -%}
    {%- do read.update({one: stored.get(one, {}).get('version', '')}) -%}
    {%- do versions.append(read[one]) -%}
  {%- endfor -%}
  {#- A column that an input has gained is one that `select *` gives. -#}
  {%- if config.get('on_schema_change', 'ignore') != 'ignore' -%}
    {%- for input in inputs -%}{%- do versions.append(penstock.input_types(input) | string) -%}{%- endfor -%}
  {%- endif -%}
  {%- set marks = {} -%}
  {%- for row in penstock.ledger_rows('select model, seq from ' ~ penstock.ledger('watermarks') ~ ' where model in ' ~ names) -%}
    {%- do marks.update({row[0]: row[1] | int}) -%}
  {%- endfor -%}
  {%- set limits = [penstock.upper_seq()] -%}
  {%- for one in reads -%}{%- do limits.append(marks.get(one, 0)) -%}{%- endfor -%}
  {%- set feeds = {} -%}
  {%- for one in penstock.feeds_of(inputs) -%}
    {%- do feeds.update({one: {'after': marks.get(name, 0), 'upto': marks.get(one, 0)}}) -%}
  {%- endfor -%}
  {%- for row in penstock.feed_marks(name) if row[0] in feeds -%}
    {%- do feeds[row[0]].update({'after': row[1] | int}) -%}
  {%- endfor -%}
  {%- set streams = [] -%}
  {%- for input in inputs -%}{%- do streams.extend(input.streams) -%}{%- endfor -%}
  {{- return({
    'known': name in stored,
    'definition': definition ~ ' ' ~ layout,
    'relaid': stored.get(name, {}).get('layout', '') not in ['', layout],
    'version': stored.get(name, {}).get('version', ''),
    'basis': local_md5(versions | join(' ')),
    'same': stored.get(name, {}).get('basis') == local_md5(versions | join(' ')),
    'step': stored.get(name, {}).get('step'),
    'prepared': stored.get(name, {}).get('fingerprint') == env_var('PENSTOCK_MODELS', ''),
    'read': read,
    'stored': stored,
    'marked': name in marks,
    'after': marks.get(name, 0),
    'upto': limits | min,
    'feeds': feeds,
    'streams': streams | unique | list,
  }) -}}
{%- endmacro %}


{#- The SQL of the views that are read, as the database has it: by schema and name. -#}
{% macro view_definitions(inputs) -%}
  {{- return(adapter.dispatch('view_definitions', 'penstock')(inputs)) -}}
{%- endmacro %}

{% macro default__view_definitions(inputs) -%}
  {%- set definitions, parts = {}, [] -%}
  {%- for input in inputs -%}
    {%- for view in input.views -%}
      {%- do parts.append("(schema_name = '" ~ view[0] ~ "' and view_name = '" ~ view[1] ~ "')") -%}
    {%- endfor -%}
  {%- endfor -%}
  {%- if parts -%}
    {%- set views = '(select schemaname as schema_name, viewname as view_name, definition as sql from pg_views) as views'
        if target.type == 'postgres' else 'duckdb_views()' -%}
    {%- for row in run_query('select schema_name, view_name, sql from ' ~ views ~ ' where ' ~ parts | unique | join(' or ')).rows -%}
      {%- do definitions.update({row[0] ~ '.' ~ row[1]: row[2]}) -%}
    {%- endfor -%}
  {%- endif -%}
  {{- return(definitions) -}}
{%- endmacro %}


{% macro filled(statement, state, loads) -%}
  {%- set text = namespace(sql=statement | replace('{after}', state.after | string) | replace('{upto}', state.upto | string)
      | replace('{loads}', loads)) -%}
  {%- for model, window in state.feeds.items() -%}
    {%- set text.sql = text.sql | replace('{after ' ~ model ~ '}', window.after | string)
        | replace('{upto ' ~ model ~ '}', window.upto | string) -%}
  {%- endfor -%}
  {{- return(text.sql) -}}
{%- endmacro %}


{% macro loads_of(state) -%}
  {%- if not state.streams or state.upto <= state.after -%}{{- return('false') -}}{%- endif -%}
  {%- set condition = "stream in ('" ~ state.streams | join("', '") ~ "') and seq > " ~ state.after ~ ' and seq <= '
      ~ state.upto ~ ' and landed > 0' -%}
  {%- set rows = run_query('select load_id from ' ~ penstock.ledger('loads') ~ ' where ' ~ condition
      ~ ' order by load_id limit 1001').rows -%}
  {%- set loads = [] -%}
  {%- for row in rows -%}{%- do loads.append(row[0] | int) -%}{%- endfor -%}
  {%- if not loads -%}{{- return('false') -}}{%- endif -%}
  {%- if loads | length > 1000 -%}
    {{- return('(_pen_load >= ' ~ loads[0] ~ ' and _pen_load in (select load_id from ' ~ penstock.ledger('loads')
      ~ ' where ' ~ condition ~ '))') -}}
  {%- endif -%}
  {#- Literals, so that an index or a zone map can answer; never a bare range, since a load whose id lies inside it may
      commit while this runs. -#}
  {{- return('(_pen_load between ' ~ loads[0] ~ ' and ' ~ loads[-1] ~ ' and _pen_load in (' ~ loads | join(', ') ~ '))') -}}
{%- endmacro %}


{% macro input_table(input) -%}
  {#- Spark's target has no database. -#}
  {{- return(api.Relation.create(
    database=target.database or none, schema=input.model.split('.')[0], identifier=input.table
  )) -}}
{%- endmacro %}


{#- The columns of an input by name, with their types. -#}
{% macro input_types(input) -%}
  {{- return(penstock.table_types(penstock.input_table(input))) -}}
{%- endmacro %}


{#- The columns of a table by name, with their types. -#}
{% macro table_types(relation) -%}
  {%- set types = {} -%}
  {%- for column in adapter.get_columns_in_relation(relation) -%}
    {%- do types.update({column.name: column.data_type}) -%}
  {%- endfor -%}
  {{- return(types) -}}
{%- endmacro %}


{% macro merged_streams(inputs) -%}
  {%- set streams = [] -%}
  {%- if inputs | selectattr('changes', 'equalto', 'landed') | list -%}
    {%- for row in penstock.ledger_rows('select stream from ' ~ penstock.ledger('streams') ~ " where disposition = 'merge'") -%}
      {%- do streams.append(row[0]) -%}
    {%- endfor -%}
  {%- endif -%}
  {{- return(streams) -}}
{%- endmacro %}


{% macro build_anew(existing, target_relation, inputs, state) -%}
  {%- set built = make_intermediate_relation(target_relation) -%}
  {%- do adapter.drop_relation(built) -%}
  {%- set limited = inputs | selectattr('limited') | list -%}
  {%- do penstock.perform(penstock.tidy(inputs) + penstock.bind_landed(limited), state, 'false') -%}
  {%- set select = penstock.bound_sql(limited) -%}
  {%- if config.get('order_by') -%}
    {%- set select = 'select * from (' ~ select ~ ') as all_rows order by ' ~ penstock.listed(config.get('order_by')) | join(', ') -%}
  {%- endif -%}
  {%- call statement('main') -%}
    {%- if target.type == 'postgres' and config.get('fillfactor') and not config.get('contract').enforced -%}
      create table {{ built }} with (fillfactor = {{ config.get('fillfactor') }}) as {{ select }}
    {%- else -%}
      {{- get_create_table_as_sql(False, built, select) -}}
    {%- endif -%}
  {%- endcall -%}
  {%- do penstock.add_indexes(built) -%}
  {%- if existing is not none -%}{%- do adapter.drop_relation(existing) -%}{%- endif -%}
  {%- do adapter.rename_relation(built, target_relation) -%}
  {%- set analyzed = penstock.analyze(target_relation) -%}
  {%- if analyzed | trim -%}{%- do run_query(analyzed) -%}{%- endif -%}
  {%- set name = penstock.model_name(model) -%}
  {%- do penstock.perform(penstock.new_feed(name) + penstock.keep_marks(name, inputs) + penstock.tidy(inputs), state, 'false') -%}
  {%- do run_query('insert into ' ~ penstock.ledger('watermarks') ~ " (model, seq, updated_at) values ('" ~ name ~ "', "
      ~ state.upto ~ ', current_timestamp) on conflict (model) do update set seq = excluded.seq, updated_at = excluded.updated_at') -%}
  {%- set types = penstock.table_types(target_relation) -%}
  {%- do penstock.keep_state(name, penstock.plan_of(inputs, types.keys() | list, penstock.merged_streams(inputs), types),
      state, invocation_id) -%}
{%- endmacro %}


{% macro keep_state(name, plan, state, version) -%}
  {%- if plan.reason -%}
    {%- do log(name ~ ' is built whole with each step: ' ~ plan.reason, info=true) -%}
  {%- endif -%}
  {%- set row = [name, state.definition, version, state.basis, plan.mode, plan.reason, penstock.kept_step(plan, state.read),
      env_var('PENSTOCK_MODELS', '')] -%}
  {%- set values = [] -%}
  {%- for value in row -%}{%- do values.append("'" ~ value | replace("'", "''") ~ "'") -%}{%- endfor -%}
  {%- do run_query('insert into ' ~ penstock.changes_table('models')
      ~ ' (model, definition, version, basis, mode, reason, step, fingerprint) values (' ~ values | join(', ') ~ ')'
      ~ ' on conflict (model) do update set definition = excluded.definition, version = excluded.version,'
      ~ ' basis = excluded.basis, mode = excluded.mode, reason = excluded.reason, step = excluded.step,'
      ~ ' fingerprint = excluded.fingerprint') -%}
{%- endmacro %}


{% macro take_step(target_relation, inputs, state) -%}
  {%- set opaque = penstock.is_opaque(inputs) -%}
  {%- if state.same and state.marked and state.prepared and state.upto <= state.after and not opaque -%}
    {%- call statement('main') -%}select 1 where false{%- endcall -%}
    {{- return('') -}}
  {%- endif -%}
  {%- set name = penstock.model_name(model) -%}
  {%- set types = penstock.table_types(this) -%}
  {%- set plan = penstock.plan_of(inputs, types.keys() | list, penstock.merged_streams(inputs), types) -%}
  {%- set step = penstock.kept_step(plan, state.read) -%}
  {%- set loads = penstock.loads_of(state) -%}
  {%- if not state.same -%}
    {%- do penstock.build_differences(target_relation, plan, inputs, state) -%}
  {%- elif not state.marked -%}
    {%- do penstock.perform(plan.whole, state, loads) -%}
  {%- else -%}
    {%- if state.upto <= state.after and opaque and penstock.differs(inputs, types.keys() | list, state) -%}
      {%- do penstock.build_differences(target_relation, plan, inputs, state) -%}
      {{- return('') -}}
    {%- elif state.upto <= state.after -%}
      {%- call statement('main') -%}select 1 where false{%- endcall -%}
    {%- elif not penstock.perform(plan.step, state, loads) -%}
      {%- do penstock.perform(plan.whole, state, loads) -%}
    {%- endif -%}
    {%- if state.step != step or not state.prepared -%}{%- do penstock.keep_state(name, plan, state, state.version) -%}{%- endif -%}
  {%- endif -%}
{%- endmacro %}


{#- Whether the model's SQL gives other rows than its table has. -#}
{% macro differs(inputs, columns, state) -%}
  {%- do penstock.perform(penstock.tidy(inputs) + penstock.whole_step(inputs, columns)
      + penstock.came_and_gone(columns, penstock.listed(config.require('unique_key'))), state, 'false') -%}
  {%- set some = run_query('select 1 from _pen_gone union all select 1 from _pen_came limit 1').rows | length > 0 -%}
  {%- do penstock.perform(penstock.tidy(inputs), state, 'false') -%}
  {{- return(some) -}}
{%- endmacro %}


{#- Perform statements; false when a step cannot be done so. What gives nothing back goes to the database together. -#}
{% macro perform(statements, state, loads) -%}
  {%- set going = namespace(on=true, news=true, deeds=[]) -%}
  {%- for line in statements if going.on and (going.news or line[0] == 'mark') -%}
    {%- set text = penstock.filled(line[1], state, loads) -%}
    {%- if line[0] == 'do' -%}
      {%- do going.deeds.append(text) -%}
    {%- else -%}
      {%- do penstock.run_together(going.deeds) -%}
      {%- set going.deeds = [] -%}
      {%- if line[0] == 'rows' -%}
        {%- call statement('main') -%}{{- text -}}{%- endcall -%}
      {%- else -%}
        {%- set rows = run_query(text).rows -%}
        {%- if line[0] == 'news' and not rows -%}
          {%- set going.news = false -%}
          {%- call statement('main') -%}select 1 where false{%- endcall -%}
        {%- elif line[0] == 'sound' and rows -%}
          {%- set going.on = false -%}
        {%- elif line[0] == 'mark' and not rows -%}
          {%- do exceptions.raise_compiler_error('another run took in loads for ' ~ this
            ~ ' while this one was at work; nothing was written: run it again') -%}
        {%- endif -%}
      {%- endif -%}
    {%- endif -%}
  {%- endfor -%}
  {%- do penstock.run_together(going.deeds) -%}
  {{- return(going.on) -}}
{%- endmacro %}


{% macro run_together(deeds) -%}
  {%- if deeds -%}
    {%- call statement('together') -%}{{- deeds | join(';\n') -}}{%- endcall -%}
  {%- endif -%}
{%- endmacro %}


{#- The model's SQL or what it reads is another: all of it is built, what differs is written, and readers do the same. -#}
{% macro build_differences(target_relation, plan, inputs, state) -%}
  {%- set limited = inputs | selectattr('limited') | list -%}
  {%- do penstock.perform(penstock.tidy(inputs) + penstock.bind_landed(limited)
      + penstock.temporary('_pen_new', penstock.bound_sql(limited)), state, 'false') -%}
  {%- set on_change = incremental_validate_on_schema_change(config.get('on_schema_change'), default='ignore') -%}
  {%- set fresh = api.Relation.create(identifier='_pen_new', type='table') -%}
  {%- do process_schema_changes(on_change, fresh, target_relation) -%}
  {%- if not config.get('contract').enforced -%}
    {%- do adapter.expand_target_column_types(from_relation=fresh, to_relation=target_relation) -%}
  {%- endif -%}
  {%- set name = penstock.model_name(model) -%}
  {%- set types = penstock.table_types(this) -%}
  {%- set columns = types.keys() | list -%}
  {%- set written = penstock.new_feed(name) + penstock.old_rows(columns, '', '') + penstock.differences(name, [], columns, inputs) -%}
  {%- do penstock.perform(written, state, 'false') -%}
  {%- do penstock.keep_state(name, penstock.plan_of(inputs, columns, penstock.merged_streams(inputs), types), state,
      invocation_id) -%}
{%- endmacro %}


{#- PostgreSQL only: DuckDB scans columns, and its unique indexes refuse a key deleted and inserted in one transaction. -#}
{% macro add_indexes(relation) -%}
  {%- if target.type == 'postgres' -%}
    {%- set unique = penstock.listed(config.get('unique_key')) -%}
    {%- do run_query('create unique index on ' ~ relation ~ ' (' ~ penstock.names(unique) ~ ')') -%}
    {%- set scope = penstock.listed(config.get('scope')) -%}
    {%- if scope and unique[:scope | length] | sort != scope | sort -%}
      {%- do run_query('create index on ' ~ relation ~ ' (' ~ penstock.names(scope) ~ ')') -%}
    {%- endif -%}
    {%- for index in config.get('indexes', default=[]) -%}
      {%- do run_query('create ' ~ ('unique ' if index.get('unique') else '') ~ 'index on ' ~ relation ~ ' ('
          ~ penstock.names(penstock.listed(index.columns)) ~ ')') -%}
    {%- endfor -%}
  {%- endif -%}
{%- endmacro %}
