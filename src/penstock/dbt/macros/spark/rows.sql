{#- What a step reads: `_pen_new`, the rows that the model's SQL gives now, and `_pen_old`, those of its table that they
    take the place of. Views keep the plan that they were made with, so that a name can be bound anew. Nulls are equal. -#}

{#- Have the model's SQL read rows that `condition` holds for, in place of a raw table or a view on one. -#}
{% macro bind_all(limited, condition) -%}
  {%- for input in limited -%}
    {%- do penstock.spark_bind(input, 'select * from ' ~ input.relation ~ ' where ' ~ condition) -%}
  {%- endfor -%}
{%- endmacro %}


{#- The condition that rows came with a load up to the step's, for those of `inputs` that it limits; one question. -#}
{% macro so_far(inputs, state) -%}
  {{- return(penstock.came_between(0, state.upto, in_code=false) if inputs | selectattr('limited') | list else '') -}}
{%- endmacro %}


{% macro spark_bind(input, rows) -%}
  {%- do run_query('create or replace global temporary view ' ~ adapter.quote(input.table) ~ ' as ' ~ rows) -%}
{%- endmacro %}


{#- The model's SQL, which reads what is bound. It may end in a comment. -#}
{% macro spark_bound(inputs) -%}
  {%- set text = namespace(sql=sql) -%}
  {%- for input in inputs -%}
    {%- set text.sql = modules.re.sub('(?<![\\w.`])' ~ modules.re.escape(input.relation) ~ '(?![\\w`])',
        'global_temp.' ~ adapter.quote(input.table), text.sql) -%}
  {%- endfor -%}
  {{- return(text.sql ~ '\n') -}}
{%- endmacro %}


{% macro spark_view(name, rows) -%}
  {%- do run_query('create or replace temporary view ' ~ name ~ ' as ' ~ rows) -%}
{%- endmacro %}


{#- A view whose rows are computed once. Spark caches by a copy of the session unless these are so; each copy has a
    catalog of its own, and that connections to the ledger's database which nobody closes. -#}
{% macro spark_cached(name, rows) -%}
  {%- set settings = {
    'spark.sql.sources.bucketing.autoBucketedScan.enabled': 'false',
    'spark.sql.optimizer.canChangeCachedPlanOutputPartitioning': 'true',
    'spark.sql.adaptive.applyFinalStageShuffleOptimizations': 'false',
  } -%}
  {%- do adapter.penstock_let_go(name) -%}
  {%- for setting, value in settings.items() -%}{%- do run_query('set ' ~ setting ~ ' = ' ~ value) -%}{%- endfor -%}
  {%- do run_query('cache table ' ~ name ~ ' as ' ~ rows) -%}
  {%- for setting in settings -%}{%- do run_query('reset ' ~ setting) -%}{%- endfor -%}
{%- endmacro %}


{#- Nothing stays cached: Spark would answer a question about a table that has moved on by what it computed before. -#}
{% macro let_go() -%}
  {%- for name in ['_pen_diff', '_pen_scope', '_pen_delta'] -%}{%- do adapter.penstock_let_go(name) -%}{%- endfor -%}
{%- endmacro %}


{% macro same_values(columns, left, right, right_columns=none) -%}
  {%- set parts = [] -%}
  {%- for column in columns -%}
    {%- do parts.append(left ~ '.' ~ adapter.quote(column) ~ ' <=> ' ~ right ~ '.'
      ~ adapter.quote((right_columns or columns)[loop.index0])) -%}
  {%- endfor -%}
  {{- return(parts | join(' and ')) -}}
{%- endmacro %}


{% macro all_rows(inputs, state, columns) -%}
  {%- set limited = inputs | selectattr('limited') | list -%}
  {%- do penstock.bind_all(limited, penstock.so_far(limited, state)) -%}
  {%- do penstock.spark_view('_pen_new', 'select ' ~ penstock.names(columns) ~ ' from (' ~ penstock.spark_bound(limited) ~ ') as fresh') -%}
  {%- do penstock.spark_view('_pen_old', 'select ' ~ penstock.names(columns) ~ ' from ' ~ this) -%}
{%- endmacro %}


{#- The rows of an input that came or went since the model's last step, with `_pen_gone`: of a raw table by its loads, of
    a model by its snapshots. -#}
{% macro changed_in(input, state, kept) -%}
  {%- if input.changes == 'landed' -%}
    {{- return('(select *, false as _pen_gone from ' ~ input.relation ~ ' where ' ~ penstock.came_between(state.after, state.upto) ~ ')') -}}
  {%- endif -%}
  {%- set now = penstock.snapshots_read(state)[input.model] -%}
  {%- if now == kept.read[input.model] -%}
    {{- return('(select *, false as _pen_gone from ' ~ input.relation ~ ' where false)') -}}
  {%- endif -%}
  {%- set view = '_pen_changes_of_' ~ input.place -%}
  {%- do run_query('call system.create_changelog_view(table => \'' ~ input.model ~ "', changelog_view => '" ~ view
    ~ "', net_changes => true, options => map('start-snapshot-id', '" ~ kept.read[input.model]
    ~ "', 'end-snapshot-id', '" ~ now ~ "'))") -%}
  {{- return("(select *, _change_type = 'DELETE' as _pen_gone from " ~ view ~ ')') -}}
{%- endmacro %}


{#- Whether the snapshots that changes are told between are there: somebody may have expired them. -#}
{% macro snapshots_are_there(inputs, before, now) -%}
  {%- for input in inputs if input.changes == 'fed' and before[input.model] != now[input.model] -%}
    {%- if not before[input.model] or not now[input.model] -%}{{- return(false) -}}{%- endif -%}
    {%- set there = run_query('select count(distinct snapshot_id) from ' ~ input.model ~ '.history where is_current_ancestor'
        ~ ' and snapshot_id in (' ~ before[input.model] ~ ', ' ~ now[input.model] ~ ')').rows[0][0] -%}
    {%- if there < 2 -%}{{- return(false) -}}{%- endif -%}
  {%- endfor -%}
  {{- return(true) -}}
{%- endmacro %}


{% macro numbered(inputs) -%}
  {%- set placed = [] -%}
  {%- for input in inputs -%}{%- do placed.append(dict(input, place=loop.index)) -%}{%- endfor -%}
  {{- return(placed) -}}
{%- endmacro %}


{% macro scope_rows(inputs, state, kept, columns) -%}
  {%- set scope = penstock.listed(config.require('scope')) -%}
  {%- set by = {} -%}
  {%- for input in inputs -%}{%- do by.update({input.name: penstock.scoped_by(input, scope)}) -%}{%- endfor -%}
  {%- do penstock.rows_in_scope(inputs, state, kept, columns, scope, by) -%}
{%- endmacro %}


{#- All versions of the keys that events came or went of. -#}
{% macro history_rows(inputs, state, kept, columns) -%}
  {%- set keys = penstock.history_told().key -%}
  {%- do penstock.rows_in_scope(inputs, state, kept, columns, keys, {inputs[0].name: keys}) -%}
{%- endmacro %}


{% macro rows_in_scope(inputs, state, kept, columns, scope, by) -%}
  {%- set inputs = penstock.numbered(inputs) -%}
  {%- set so_far = penstock.so_far(inputs, state) -%}
  {%- set parts, scoped, limited, touched = [], [], [], [] -%}
  {%- for column in scope -%}{%- do parts.append('_pen_scope_' ~ loop.index) -%}{%- endfor -%}
  {%- for input in inputs -%}
    {%- set changed = penstock.changed_in(input, state, kept) -%}
    {%- set how = by[input.name] -%}
    {%- if how is mapping -%}
      {%- set on, theirs = penstock.listed(how.on), penstock.listed(how.get('their') or how.on) -%}
      {%- set through = inputs | selectattr('name', 'equalto', how.through) | first -%}
      {%- do touched.append('select ' ~ penstock.as_parts(by[how.through], parts) ~ ' from ' ~ through.relation
        ~ ' as looking left semi join ' ~ changed ~ ' as found on ' ~ penstock.same_values(on, 'looking', 'found', theirs)) -%}
      {%- if input.limited -%}{%- do limited.append(input) -%}{%- endif -%}
    {%- else -%}
      {%- do touched.append('select ' ~ penstock.as_parts(how, parts) ~ ' from ' ~ changed ~ ' as changed') -%}
      {%- do scoped.append(input) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- do penstock.spark_cached('_pen_scope', 'select distinct * from (' ~ touched | join(' union all ') ~ ') as touched') -%}
  {%- for input in scoped -%}
    {%- set on = [] -%}
    {%- for expression in by[input.name] -%}
      {%- do on.append(penstock.part(expression) ~ ' <=> _pen_scope.' ~ parts[loop.index0]) -%}
    {%- endfor -%}
    {%- do penstock.spark_bind(input, 'select * from ' ~ input.relation ~ ' left semi join _pen_scope on ' ~ on | join(' and ')
      ~ (' where ' ~ so_far if input.limited else '')) -%}
  {%- endfor -%}
  {%- do penstock.bind_all(limited, so_far) -%}
  {%- set held = ' left semi join _pen_scope on ' -%}
  {%- do penstock.spark_view('_pen_new', 'select ' ~ penstock.names(columns, 'fresh.') ~ ' from ('
    ~ penstock.spark_bound(scoped + limited) ~ ') as fresh' ~ held ~ penstock.same_values(scope, 'fresh', '_pen_scope', parts)) -%}
  {%- do penstock.spark_view('_pen_old', 'select ' ~ penstock.names(columns, 'kept.') ~ ' from ' ~ this ~ ' as kept' ~ held
    ~ penstock.same_values(scope, 'kept', '_pen_scope', parts)) -%}
{%- endmacro %}


{% macro as_parts(expressions, parts) -%}
  {%- set named = [] -%}
  {%- for expression in expressions -%}
    {%- do named.append(penstock.part(expression) ~ ' as ' ~ parts[loop.index0]) -%}
  {%- endfor -%}
  {{- return(named | join(', ')) -}}
{%- endmacro %}


{#- Sums move by what came less what went; a group is there as long as its first additive column is above zero. -#}
{% macro additive_rows(inputs, state, kept, columns) -%}
  {%- set inputs = penstock.numbered(inputs) -%}
  {%- set sums = penstock.listed(config.require('additive')) -%}
  {%- set groups = columns | reject('in', sums) | list -%}
  {%- set keys = penstock.listed(config.require('unique_key')) -%}
  {%- set changed, moves = {}, [] -%}
  {%- for input in inputs -%}{%- do changed.update({input.name: penstock.changed_in(input, state, kept)}) -%}{%- endfor -%}
  {%- for gone in [false, true] -%}
    {%- for input in inputs -%}
      {%- do penstock.spark_bind(input, 'select ' ~ penstock.input_columns(input) ~ ' from ' ~ changed[input.name]
        ~ ' as changed where ' ~ ('' if gone else 'not ') ~ '_pen_gone') -%}
    {%- endfor -%}
    {%- set moved = [] -%}
    {%- for name in columns -%}
      {%- do moved.append(('-' if gone and name in sums else '') ~ adapter.quote(name) ~ ' as ' ~ adapter.quote(name)) -%}
    {%- endfor -%}
    {%- do penstock.spark_view('_pen_gone_rows' if gone else '_pen_came_rows',
        'select ' ~ moved | join(', ') ~ ' from (' ~ penstock.spark_bound(inputs) ~ ') as moved') -%}
  {%- endfor -%}
  {%- do penstock.spark_cached('_pen_delta', 'select * from _pen_came_rows union all select * from _pen_gone_rows') -%}
  {#- A sum that is null cannot be moved. -#}
  {%- if run_query('select 1 from _pen_delta where ' ~ penstock.names(sums) | replace(', ', ' is null or ') ~ ' is null limit 1').rows -%}
    {%- do penstock.all_rows(inputs, state, columns) -%}
    {{- return('') -}}
  {%- endif -%}
  {%- do penstock.spark_view('_pen_old', 'select ' ~ penstock.names(columns, 'kept.') ~ ' from ' ~ this
    ~ ' as kept left semi join _pen_delta on ' ~ penstock.same_values(keys, 'kept', '_pen_delta')) -%}
  {%- set summed = [] -%}
  {%- for name in columns -%}
    {%- do summed.append('cast(sum(' ~ adapter.quote(name) ~ ') as ' ~ kept.types[name] ~ ') as ' ~ adapter.quote(name)
        if name in sums else adapter.quote(name)) -%}
  {%- endfor -%}
  {%- do penstock.spark_view('_pen_new', 'select * from (select ' ~ summed | join(', ') ~ ' from (select * from _pen_delta'
    ~ ' union all select * from _pen_old) as moved group by ' ~ penstock.names(groups) ~ ') as summed where '
    ~ adapter.quote(sums[0]) ~ ' <> 0') -%}
{%- endmacro %}


{% macro shared_keys(relation) -%}
  {%- set keys = penstock.names(penstock.listed(config.require('unique_key'))) -%}
  {{- return(run_query('select 1 from ' ~ relation ~ ' group by ' ~ keys ~ ' having count(*) > 1 limit 1').rows | length > 0) -}}
{%- endmacro %}


{#- Refuse rows that share a key: which of them a merge means, nothing tells. -#}
{% macro refuse_shared_keys() -%}
  {%- set keys = penstock.names(penstock.listed(config.require('unique_key'))) -%}
  {%- do exceptions.raise_compiler_error('rows of ' ~ this ~ ' share a key: ' ~ keys ~ ' is no unique_key of it') -%}
{%- endmacro %}


{#- Write what differs between `_pen_old` and `_pen_new`: one snapshot, or none; whether there is one. -#}
{% macro merge_differences(target_relation, columns) -%}
  {%- set keys = penstock.listed(config.require('unique_key')) -%}
  {%- set rest = columns | reject('in', keys) | list -%}
  {%- set values, assigned, inserted = [], [], [] -%}
  {%- for column in columns -%}
    {%- set quoted = adapter.quote(column) -%}
    {%- do values.append(('coalesce(fresh.' ~ quoted ~ ', kept.' ~ quoted ~ ')' if column in keys else 'fresh.' ~ quoted)
      ~ ' as ' ~ quoted) -%}
    {%- do inserted.append('fresh.' ~ quoted) -%}
    {%- if column in rest -%}{%- do assigned.append(quoted ~ ' = fresh.' ~ quoted) -%}{%- endif -%}
  {%- endfor -%}
  {%- do penstock.spark_cached('_pen_diff', 'select ' ~ values | join(', ') ~ ", case when kept._pen_there is null then 'came'"
    ~ " when fresh._pen_there is null then 'went' else 'moved' end as _pen_how, fresh._pen_times"
    ~ ' from (select *, true as _pen_there, count(*) over (partition by ' ~ penstock.names(keys) ~ ') as _pen_times from _pen_new)'
    ~ ' as fresh full outer join (select *, true as _pen_there from _pen_old) as kept on '
    ~ penstock.same_values(keys, 'fresh', 'kept') ~ ' where kept._pen_there is null or fresh._pen_there is null or fresh._pen_times > 1'
    ~ (' or not (' ~ penstock.same_values(rest, 'fresh', 'kept') ~ ')' if rest else '')) -%}
  {%- set counted = run_query('select count(*), coalesce(max(_pen_times), 0) from _pen_diff').rows[0] -%}
  {%- if counted[1] > 1 -%}{%- do penstock.refuse_shared_keys() -%}{%- endif -%}
  {%- if counted[0] == 0 -%}
    {%- call statement('main') -%}select 1 where false{%- endcall -%}
    {{- return(false) -}}
  {%- endif -%}
  {%- call statement('main') -%}
    merge into {{ target_relation }} as kept
    using _pen_diff as fresh
    on {{ penstock.same_values(keys, 'kept', 'fresh') }}
    when matched and fresh._pen_how = 'went' then delete
    {% if assigned %}when matched then update set {{ assigned | join(', ') }}{% endif %}
    when not matched then insert ({{ penstock.names(columns) }}) values ({{ inserted | join(', ') }})
  {%- endcall -%}
  {{- return(true) -}}
{%- endmacro %}
