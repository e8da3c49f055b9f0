{#- The statements of a step, by the model's mode.

    `penstock.plan_of(...)` gives what a step of one model is, as data: 

        model    schema and name, as in penstock.watermarks
        reads    the models whose watermarks it does not go beyond
        feeds    those whose feeds it takes in
        streams  those whose loads `{loads}` is about
        mode     scope, history, additive or whole
        reason   why it is whole although the model asks for something else, or ''
        step     the statements: a list of [kind, sql]
        whole    those that build all of it anew and write what differs

    In the SQL stand `{after}`, the model's watermark; `{upto}`, the least of the run's upper `seq` and the watermarks of
    `reads`; `{loads}`, the condition on `_pen_load` that is true for the loads of `streams` in between, or `false`; and
    for each model of `feeds` `{after <model>}`, which `penstock_changes.marks` has, or else the model's own watermark,
    and `{upto <model>}`, the watermark of that model. They are replaced as text, so that the statements are made once and run for every step. The statements of a step
    run in their order, in one transaction, when `{upto}` is beyond `{after}`:

        news     a query: when it gives no row, all but the last statement are left out
        sound    a query: when it gives a row, this step cannot be done so, and `whole` is to be done instead (dbt does it)
        do       a statement
        rows     a statement; how many rows it wrote is what the step wrote
        mark     a query that must give a row: otherwise another run was faster, and all is rolled back

    `penstock_changes.models.step` keeps what a step without dbt needs of it, as `kept_step` in steps.sql has it. -#}

{% macro plan_of(inputs, columns, merged, types) -%}
  {%- set readers = penstock.readers_of(model.unique_id) -%}
  {%- set name = penstock.model_name(model) -%}
  {%- set reads, streams = [], [] -%}
  {%- for input in inputs -%}
    {%- do reads.extend(input.reads) -%}
    {%- do streams.extend(input.streams) -%}
  {%- endfor -%}
  {%- set mode = penstock.mode_of() -%}
  {%- set reason = penstock.why_whole(mode, inputs, columns, merged, types) -%}
  {%- set ending = penstock.differences(name, readers, columns, inputs) -%}
  {%- set news = [] if penstock.is_opaque(inputs) else [['news', penstock.any_news(inputs)]] -%}
  {%- set whole = penstock.whole_step(inputs, columns) + ending -%}
  {%- if mode == 'whole' or reason -%}
    {%- set step = news + whole -%}
  {%- else -%}
    {%- set own = penstock[mode ~ '_step'](inputs, columns, types) -%}
    {%- set step = news + [['sound', penstock.short_feeds(inputs)]] + own + ending -%}
  {%- endif -%}
  {{- return({
    'model': name,
    'reads': reads | unique | sort,
    'feeds': penstock.feeds_of(inputs),
    'streams': streams | unique | sort,
    'mode': 'whole' if reason else mode,
    'reason': reason,
    'step': step,
    'whole': whole,
  }) -}}
{%- endmacro %}


{#- -- what all modes have in common -- -#}

{% macro row_id() -%}{{- return('ctid' if target.type == 'postgres' else 'rowid') -}}{%- endmacro %}


{% macro temporary(name, sql, analyze=true) -%}
  {%- if target.type != 'postgres' -%}
    {{- return([['do', 'create or replace temporary table ' ~ name ~ ' as ' ~ sql]]) -}}
  {%- endif -%}
  {%- set made = [['do', 'create temporary table ' ~ name ~ ' as ' ~ sql]] -%}
  {{- return(made + ([['do', 'analyze ' ~ name]] if analyze else [])) -}}
{%- endmacro %}


{#- Let go of what a step has made for itself: the names are free for the next model. -#}
{% macro tidy(inputs) -%}
  {%- set schema = penstock.temporary_schema() -%}
  {%- set parts = [] -%}
  {%- for input in inputs -%}{%- do parts.append('drop view if exists ' ~ penstock.bound_name(input)) -%}{%- endfor -%}
  {%- for name in ['seed', 'came', 'gone', 'new', 'old', 'delta', 'ids', 'bounds', 'since', 'scope'] -%}
    {%- do parts.append('drop table if exists ' ~ schema ~ '._pen_' ~ name) -%}
  {%- endfor -%}
  {%- for input in inputs -%}
    {%- do parts.append('drop table if exists ' ~ schema ~ '._pen_input_' ~ loop.index) -%}
  {%- endfor -%}
  {{- return([['do', parts | join('; ')]]) -}}
{%- endmacro %}


{% macro temporary_schema() -%}{{- return('pg_temp' if target.type == 'postgres' else 'temp') -}}{%- endmacro %}


{% macro bound_name(input) -%}
  {{- return(penstock.temporary_schema() ~ '.' ~ adapter.quote(input.table)) -}}
{%- endmacro %}


{#- Have the model's SQL read `sql` in place of an input: a temporary view of the table's own name, so that columns named
    with it, a CTE of that name, or an alias mean what they meant. -#}
{% macro bind(input, sql) -%}
  {{- return(['do', 'create or replace temporary view ' ~ adapter.quote(input.table) ~ ' as ' ~ sql]) -}}
{%- endmacro %}


{% macro bound_sql(inputs) -%}
  {%- set text = namespace(sql=sql) -%}
  {%- for input in inputs -%}
    {%- set text.sql = text.sql | replace(input.relation, penstock.bound_name(input)) -%}
  {%- endfor -%}
  {{- return(text.sql ~ '\n') -}}
{%- endmacro %}


{#- The rows of a landed input up to the step's end: a load that commits meanwhile is for the next one. -#}
{% macro up_to_now(input) -%}
  {#- A ghost of the vault came with no load. -#}
  {{- return('coalesce(_pen_load not in (select load_id from ' ~ penstock.ledger('loads') ~ ' where seq > {upto}), true)') -}}
{%- endmacro %}


{#- (a, b) in the rows of a temporary table. -#}
{% macro among(columns, table, table_columns=none, alias='') -%}
  {%- set wanted = penstock.names(table_columns or columns) -%}
  {%- if columns | length > 1 -%}
    {{- return('(' ~ penstock.names(columns, alias) ~ ') in (select ' ~ wanted ~ ' from ' ~ table ~ ')') -}}
  {%- elif target.type == 'postgres' -%}
    {#- An array, because the planner knows what to do with an index then. -#}
    {{- return(penstock.names(columns, alias) ~ ' = any (array(select ' ~ wanted ~ ' from ' ~ table ~ '))') -}}
  {%- endif -%}
  {{- return(penstock.names(columns, alias) ~ ' in (select ' ~ wanted ~ ' from ' ~ table ~ ')') -}}
{%- endmacro %}


{% macro equal(columns, left, right, right_columns=none) -%}
  {%- set parts = [] -%}
  {%- for column in columns -%}
    {%- do parts.append(left ~ '.' ~ adapter.quote(column) ~ ' = ' ~ right ~ '.'
      ~ adapter.quote((right_columns or columns)[loop.index0])) -%}
  {%- endfor -%}
  {{- return(parts | join(' and ')) -}}
{%- endmacro %}


{% macro has_null(columns, table) -%}
  {%- set parts = [] -%}
  {%- for column in columns -%}{%- do parts.append(adapter.quote(column) ~ ' is null') -%}{%- endfor -%}
  {{- return(['sound', 'select 1 from ' ~ table ~ ' where ' ~ parts | join(' or ') ~ ' limit 1']) -}}
{%- endmacro %}


{#- `_pen_old`: rows of the model as they are, with where they lie. On DuckDB they are found by few columns first: all
    columns of every row would be read otherwise. `or_else` is of rows that `condition` does not hold for. -#}
{% macro old_rows(columns, joins, condition, or_else='') -%}
  {%- set all_of_it = ' from ' ~ this ~ ' as kept ' ~ joins -%}
  {%- set of_them = all_of_it ~ (' where ' ~ condition if condition else '') -%}
  {%- set named = 'select kept.' ~ penstock.row_id() ~ ' as _pen_row, ' ~ penstock.names(columns, 'kept.') -%}
  {%- if target.type == 'postgres' or not condition -%}
    {%- set others = ' union all ' ~ named ~ all_of_it ~ ' where ' ~ or_else if or_else else '' -%}
    {{- return(penstock.temporary('_pen_old', named ~ of_them ~ others)) -}}
  {%- endif -%}
  {%- set ids = 'select kept.rowid as _pen_row' -%}
  {%- set others = ' union all ' ~ ids ~ all_of_it ~ ' where ' ~ or_else if or_else else '' -%}
  {{- return(
    penstock.temporary('_pen_ids', ids ~ of_them ~ others)
    + penstock.temporary('_pen_old', named ~ ' from ' ~ this ~ ' as kept where kept.rowid in (select _pen_row from _pen_ids)')
  ) -}}
{%- endmacro %}


{#- Write what differs between `_pen_old` and `_pen_new`, keep it in the feed, and mark how far the model is. -#}
{% macro differences(name, readers, columns, inputs) -%}
  {%- set keys = penstock.listed(config.require('unique_key')) -%}
  {%- set named = penstock.names(columns) -%}
  {%- set id = penstock.row_id() -%}
  {%- set statements = penstock.came_and_gone(columns, keys) + penstock.keep_changes(name, readers, columns) -%}
  {%- set rest = columns | reject('in', keys) | list -%}
  {%- if target.type == 'postgres' and rest -%}
    {#- A row whose key stays is updated: without a new entry in any index where the page has room. -#}
    {%- set assigned = [] -%}
    {%- for column in rest -%}
      {%- do assigned.append(adapter.quote(column) ~ ' = fresh.' ~ adapter.quote(column)) -%}
    {%- endfor -%}
    {%- set both = penstock.equal(keys, 'gone', 'fresh') -%}
    {%- do statements.append(['do', 'delete from ' ~ this ~ ' as kept using _pen_gone as gone where kept.ctid = gone._pen_row'
      ~ ' and not exists (select 1 from _pen_came as fresh where ' ~ both ~ ')']) -%}
    {%- do statements.append(['rows', 'update ' ~ this ~ ' as kept set ' ~ assigned | join(', ')
      ~ ' from _pen_gone as gone inner join _pen_came as fresh on ' ~ both ~ ' where kept.ctid = gone._pen_row']) -%}
    {%- set added = ' as fresh where not exists (select 1 from _pen_gone as gone where ' ~ both ~ ')' -%}
  {%- else -%}
    {%- do statements.append(['do', 'delete from ' ~ this ~ ' where ' ~ id ~ ' in (select _pen_row from _pen_gone)']) -%}
    {%- set added = '' -%}
  {%- endif -%}
  {%- do statements.append(['rows', 'insert into ' ~ this ~ ' (' ~ named ~ ') select ' ~ named ~ ' from _pen_came' ~ added]) -%}
  {{- return(statements + penstock.keep_marks(name, inputs) + penstock.tidy(inputs) + [penstock.mark_statement(name)]) -}}
{%- endmacro %}


{#- `_pen_gone` and `_pen_came`: the rows of `_pen_old` that are not in `_pen_new`, and those that are only there. -#}
{% macro came_and_gone(columns, keys) -%}
  {%- set same = [] -%}
  {%- for column in columns -%}
    {%- do same.append('kept.' ~ adapter.quote(column) ~ (' = ' if column in keys else ' is not distinct from ')
      ~ 'fresh.' ~ adapter.quote(column)) -%}
  {%- endfor -%}
  {%- set same = same | join(' and ') -%}
  {{- return(
    penstock.temporary(
      '_pen_gone', 'select * from _pen_old as kept where not exists (select 1 from _pen_new as fresh where ' ~ same ~ ')'
    ) + penstock.temporary(
      '_pen_came', 'select * from _pen_new as fresh where not exists (select 1 from _pen_old as kept where ' ~ same ~ ')'
    )
  ) -}}
{%- endmacro %}


{% macro mark_statement(name) -%}
  {{- return(['mark', 'insert into ' ~ penstock.ledger('watermarks') ~ ' as known (model, seq, updated_at)'
    ~ " values ('" ~ name ~ "', {upto}, current_timestamp)"
    ~ ' on conflict (model) do update set seq = excluded.seq, updated_at = excluded.updated_at'
    ~ ' where known.seq = {after} returning seq']) -}}
{%- endmacro %}


{#- -- whole: all of it anew, and what differs is written -- -#}

{% macro whole_step(inputs, columns) -%}
  {%- set limited = inputs | selectattr('limited') | list -%}
  {%- set statements = penstock.tidy(inputs) if target.type == 'postgres' else [] -%}
  {%- do statements.extend(penstock.bind_landed(limited)) -%}
  {{- return(
    statements
    + penstock.temporary('_pen_new', 'select ' ~ penstock.names(columns) ~ ' from (' ~ penstock.bound_sql(limited) ~ ') as fresh')
    + penstock.old_rows(columns, '', '')
  ) -}}
{%- endmacro %}


{% macro bind_landed(inputs) -%}
  {%- set statements = [] -%}
  {%- for input in inputs -%}
    {%- do statements.append(penstock.bind(input, 'select * from ' ~ input.relation ~ ' where ' ~ penstock.up_to_now(input))) -%}
  {%- endfor -%}
  {{- return(statements) -}}
{%- endmacro %}


{#- -- scope: the scopes of the rows that came or went, anew -- -#}

{% macro scope_step(inputs, columns, types) -%}
  {%- set scope = penstock.listed(config.require('scope')) -%}
  {%- set scoped = [] -%}
  {%- set touched = [] -%}
  {%- for input in inputs -%}
    {%- set by = penstock.scoped_by(input, scope) -%}
    {%- if by is mapping -%}
      {%- set through = inputs | selectattr('name', 'equalto', by.through) | first -%}
      {%- set on, theirs = penstock.listed(by.on), penstock.listed(by.get('their') or by.on) -%}
      {%- do touched.append('select ' ~ penstock.scope_columns(penstock.scoped_by(through, scope), scope) ~ ' from '
        ~ through.relation ~ ' where ' ~ ('(' ~ penstock.names(on) ~ ')' if on | length > 1 else penstock.names(on))
        ~ ' in (' ~ penstock.changed_rows(input, penstock.names(theirs)) ~ ')') -%}
    {%- else -%}
      {%- do touched.append(penstock.changed_rows(input, penstock.scope_columns(by, scope))) -%}
      {%- do scoped.append(dict(input, by=by, place=loop.index)) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- set statements = penstock.temporary(
      '_pen_scope', 'select distinct ' ~ penstock.names(scope) ~ ' from (' ~ touched | join(' union all ') ~ ') as touched'
    ) + ([penstock.has_null(scope, '_pen_scope')] if scope | length > 1 else []) -%}
  {%- for input in scoped -%}
    {%- do statements.extend(penstock.bind_scoped(input, scope, inputs | length == 1)) -%}
  {%- endfor -%}
  {%- set limited = [] -%}
  {%- for input in inputs if input.limited and input.name not in scoped | map(attribute='name') | list -%}
    {%- do limited.append(input) -%}
  {%- endfor -%}
  {#- Around the model too: a row may lie outside every scope, such as an unknown member. -#}
  {%- set around = 'select ' ~ penstock.names(columns) ~ ' from (' ~ penstock.bound_sql(scoped + limited)
      ~ ') as fresh where ' ~ penstock.among(scope, '_pen_scope') -%}
  {%- if scope | length == 1 -%}
    {%- set without = penstock.without_scope(adapter.quote(scope[0]), scope) -%}
    {%- set around = around ~ ' or ' ~ without -%}
    {%- set kept = penstock.old_rows(columns, '', penstock.among(scope, '_pen_scope', none, 'kept.'), 'kept.' ~ without) -%}
  {%- elif target.type == 'postgres' -%}
    {%- set kept = penstock.old_rows(columns, 'inner join _pen_scope as scope on ' ~ penstock.equal(scope, 'kept', 'scope'), '') -%}
  {%- else -%}
    {%- set kept = penstock.old_rows(columns, '', penstock.among(scope, '_pen_scope', none, 'kept.')) -%}
  {%- endif -%}
  {{- return(statements + penstock.bind_landed(limited) + penstock.temporary('_pen_new', around) + kept) -}}
{%- endmacro %}


{#- Whether a row has no scope, and something that has none came or went. -#}
{% macro without_scope(expression, scope) -%}
  {{- return(expression ~ ' is null and exists (select 1 from _pen_scope where ' ~ adapter.quote(scope[0]) ~ ' is null)') -}}
{%- endmacro %}


{#- By which columns or expressions of an input its rows are in a scope; or, of a look-up, through which input. -#}
{% macro scoped_by(input, scope) -%}
  {%- set by = config.get('sources', {}).get(input.name, scope) -%}
  {{- return(by if by is mapping else penstock.listed(by)) -}}
{%- endmacro %}


{% macro scope_columns(by, scope) -%}
  {%- set parts = [] -%}
  {%- for expression in by -%}
    {%- do parts.append(penstock.part(expression) ~ ' as ' ~ adapter.quote(scope[loop.index0])) -%}
  {%- endfor -%}
  {{- return(parts | join(', ')) -}}
{%- endmacro %}


{#- A column's name is quoted; an expression is left as it is. -#}
{% macro part(expression) -%}
  {{- return(adapter.quote(expression) if modules.re.fullmatch('[A-Za-z_][A-Za-z0-9_]*', expression) else '(' ~ expression ~ ')') -}}
{%- endmacro %}


{% macro bind_scoped(input, scope, alone) -%}
  {%- if alone and input.changes == 'fed' and input.by | sort == input.unique_key | sort -%}
    {%- if target.type != 'postgres' -%}{{- return([penstock.bind(input, penstock.last_images(input))]) -}}{%- endif -%}
    {#- Analysed: the planner takes what is new in a feed for one row, and would go through the scopes for each. -#}
    {%- set images = '_pen_input_' ~ input.place -%}
    {{- return(
      penstock.temporary(images, penstock.last_images(input)) + [penstock.bind(input, 'select * from ' ~ images)]
    ) -}}
  {%- elif alone and input.changes == 'landed' and (input.by == ['_pen_id'] or penstock.is_row_by_row(scope)) -%}
    {{- return([penstock.bind(input, penstock.changed_rows(input, '*'))]) -}}
  {%- endif -%}
  {%- set limit = ' and ' ~ penstock.up_to_now(input) if input.limited else '' -%}
  {%- set parts = [] -%}
  {%- for expression in input.by -%}{%- do parts.append(penstock.part(expression)) -%}{%- endfor -%}
  {%- set wanted = 'select ' ~ penstock.names(scope) ~ ' from _pen_scope' -%}
  {%- if parts | length > 1 -%}
    {%- set found = '(' ~ parts | join(', ') ~ ') in (' ~ wanted ~ ')' -%}
  {%- elif target.type == 'postgres' -%}
    {%- set found = parts[0] ~ ' = any (array(' ~ wanted ~ '))' -%}
  {%- else -%}
    {%- set found = parts[0] ~ ' in (' ~ wanted ~ ')' -%}
  {%- endif -%}
  {%- set table = '_pen_input_' ~ input.place -%}
  {%- set rows = 'select * from ' ~ input.relation ~ ' where ' -%}
  {%- set without = penstock.without_scope(parts[0], scope) -%}
  {%- if target.type == 'postgres' and parts | length > 1 -%}
    {#- Materialised, or the planner takes what is in scope for one row. -#}
    {{- return(penstock.temporary(table, rows ~ found ~ limit) + [penstock.bind(input, 'select * from ' ~ table)]) -}}
  {%- elif target.type != 'postgres' and input.changes == 'fed' -%}
    {{- return(
      penstock.temporary(table, 'select rowid as _pen_row from ' ~ input.relation ~ ' where ' ~ found
        ~ (' union all select rowid from ' ~ input.relation ~ ' where ' ~ without if parts | length == 1 else ''))
      + [penstock.bind(input, rows ~ 'rowid in (select _pen_row from ' ~ table ~ ')')]
    ) -}}
  {%- endif -%}
  {%- if parts | length > 1 -%}{{- return([penstock.bind(input, rows ~ found ~ limit)]) -}}{%- endif -%}
  {{- return([penstock.bind(input, rows ~ found ~ limit ~ ' union all ' ~ rows ~ without ~ limit)]) -}}
{%- endmacro %}


{#- Whether each row of the model is made of one row of what it reads, and is its scope by itself: then what came is
    all there is to read. A row that is left out says nothing of another that its scope has. -#}
{% macro is_row_by_row(scope) -%}
  {%- set words = penstock.bare_words(sql) -%}
  {{- return(scope | sort == penstock.listed(config.get('unique_key')) | sort and not penstock.beyond_a_row(words)
    and not modules.re.search('\\b(where|union)\\b', words)) -}}
{%- endmacro %}
