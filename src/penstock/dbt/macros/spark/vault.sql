{#- The vault on Iceberg tables: its tables are of the materialization `penstock`, in modes of their own.

    - `insert_only`, hubs, links and satellites: a step adds what the loads that came give and is not there. Nothing that
      is there is ever compared, changed or taken away: what the vault was told stays, also when raw rows are overwritten.
    - `pit`: the keys that changed are pointed anew, all of them where other instants are asked for. -#}

{% macro spark__vault_config(strategy, unique, indexed, told) -%}
  {%- if strategy == 'insert_only' -%}
    {{- config(materialized='penstock', mode='insert_only', unique_key=unique, hashed=told) -}}
  {%- else -%}
    {{- config(materialized='penstock', mode='pit', unique_key=unique) -}}
    {%- set by = {told.hub | string: told.key} -%}
    {%- for satellite in told.satellites.values() -%}
      {%- do by.update({satellite.relation | string: satellite.get('key', told.key)}) -%}
    {%- endfor -%}
    /*_pen_pit {{ tojson({
      'key': told.key, 'by': by, 'snapshots': told.snapshots | string, 'snapshot': told.snapshot,
    }, sort_keys=true) }}*/
  {%- endif -%}
{%- endmacro %}


{#- What a model's SQL says is the same in every step: its rows are limited where it is bound. -#}
{% macro spark__window() -%}
  {%- if execute and config.get('materialized') == 'incremental' -%}{%- do penstock.refuse_incremental() -%}{%- endif -%}
  {{- return({'after': 0, 'upto': 0}) -}}
{%- endmacro %}


{#- By stream only where the model reads something that is of several. -#}
{% macro spark__landed_in(stream, window, column) -%}
  {%- set several = [] -%}
  {%- for parent in (penstock.parents_of(model) if execute and stream is not none else []) -%}
    {%- if penstock.streams_through(parent) | length > 1 -%}{%- do several.append(parent.name) -%}{%- endif -%}
  {%- endfor -%}
  {{- column }} in (select load_id from _pen_loads{{ " where stream = '" ~ stream ~ "'" if several }})
{%- endmacro %}


{% macro spark__numbered_loads() -%}
  {%- if execute -%}{%- do penstock.spark_view('_pen_loads', penstock.loads_between(0, 0)) -%}{%- endif -%}
  {{- return('_pen_loads') -}}
{%- endmacro %}


{#- Have the model's SQL take in the loads after one number and up to another. -#}
{% macro number_loads(after, upto) -%}
  {%- if '_pen_loads' in sql -%}
    {%- do penstock.spark_view('_pen_loads', penstock.loads_between(after, upto, '_pen_loads where stream' in sql)) -%}
  {%- endif -%}
{%- endmacro %}


{#- The loads after one number and up to another, with these numbers. They are written as ranges in which the number of a
    load follows its id, since most do. -#}
{% macro loads_between(after, upto, by_stream=false) -%}
  {%- set by = ', stream' if by_stream else '' -%}
  {%- set ranges = [] -%}
  {%- for row in ([] if upto <= after else penstock.ledger_rows('select min(load_id), max(load_id), shift' ~ by ~ ' from (select load_id, stream,'
      ~ ' seq - load_id as shift, load_id - row_number() over (partition by seq - load_id' ~ by ~ ' order by load_id) as island'
      ~ ' from penstock.loads where seq > ' ~ after ~ ' and seq <= ' ~ upto ~ ') as good group by shift, island' ~ by
      ~ ' order by 1')) -%}
    {%- do ranges.append('(' ~ row[0] ~ ', ' ~ row[1] ~ ', ' ~ row[2] ~ ", '" ~ (row[3] if by_stream else '') ~ "')") -%}
  {%- endfor -%}
  {{- return(
    'select load_id, load_id + shift as seq, stream from (select explode(sequence(cast(first as bigint), cast(last as bigint)))'
    ~ ' as load_id, cast(shift as bigint) as shift, stream from values ' ~ (ranges | join(', ') or "(0, 0, 0, '')")
    ~ ' as ranges (first, last, shift, stream)) as loads' ~ ('' if ranges else ' where false')
  ) -}}
{%- endmacro %}


{#- The step of a hub, a link or a satellite. Of a table that somebody else has written what is missing is added. -#}
{% macro add_missing(inputs, state, kept, snapshot, columns) -%}
  {%- if snapshot != kept.snapshot and penstock.shared_keys(this) -%}{%- do penstock.refuse_shared_keys() -%}{%- endif -%}
  {%- if state.relaid -%}
    {%- do exceptions.raise_compiler_error('the key or the layout of ' ~ this ~ ' is another than it was built with: build it with'
      ~ ' --full-refresh') -%}
  {%- endif -%}
  {%- if not state.same -%}
    {%- set hashed = config.require('hashed') -%}
    {%- do penstock.expect_rule(hashed.key, hashed.column, hashed.rule) -%}
  {%- endif -%}
  {%- set after = 0 if state.same and snapshot != kept.snapshot else state.after -%}
  {%- set limited = inputs | selectattr('limited') | list -%}
  {%- do penstock.number_loads(after, state.upto) -%}
  {%- do penstock.bind_all(limited, penstock.came_between(after, state.upto) if limited else '') -%}
  {%- do penstock.spark_view('_pen_new', 'select ' ~ penstock.names(columns, 'fresh.') ~ ' from (' ~ penstock.spark_bound(limited)
    ~ ') as fresh left anti join ' ~ this ~ ' as kept on '
    ~ penstock.same_values(penstock.listed(config.require('unique_key')), 'fresh', 'kept')) -%}
  {%- do penstock.spark_view('_pen_old', 'select ' ~ penstock.names(columns) ~ ' from ' ~ this ~ ' where false') -%}
{%- endmacro %}


{#- What the macro `pit` wrote of itself into the model's SQL. -#}
{% macro pit_told() -%}
  {{- return(fromjson(modules.re.search('(?s)/[*]_pen_pit (.*?)[*]/', sql).group(1))) -}}
{%- endmacro %}


{#- The inputs of a pit whose rows have its key. -#}
{% macro pit_inputs(inputs) -%}
  {{- return(inputs | rejectattr('relation', 'equalto', penstock.pit_told().snapshots) | list) -}}
{%- endmacro %}


{% macro why_no_pit(inputs, columns, merged, types) -%}
  {%- set by = penstock.pit_told().by -%}
  {%- for input in inputs if input.relation not in by -%}
    {{- return('which rows of ' ~ input.name ~ ' are of which key is not known') -}}
  {%- endfor -%}
  {{- return('') -}}
{%- endmacro %}


{#- The row of the unknown key says which instants the table holds. -#}
{% macro pit_rows(inputs, state, kept, columns) -%}
  {%- set told = penstock.pit_told() -%}
  {%- set moved = run_query('select 1 from (select distinct ' ~ told.snapshot ~ ' from ' ~ told.snapshots ~ ' where '
    ~ told.snapshot ~ ' is not null) as asked full outer join (select ' ~ told.snapshot ~ ' from ' ~ this ~ ' where ' ~ told.key
    ~ ' = ' ~ penstock.unknown_hash() ~ ') as held on asked.' ~ told.snapshot ~ ' = held.' ~ told.snapshot ~ ' where asked.'
    ~ told.snapshot ~ ' is null or held.' ~ told.snapshot ~ ' is null limit 1').rows -%}
  {%- if moved -%}
    {%- do penstock.all_rows(inputs, state, columns) -%}
    {{- return('') -}}
  {%- endif -%}
  {%- set by = {} -%}
  {%- for input in penstock.pit_inputs(inputs) -%}{%- do by.update({input.name: [told.by[input.relation]]}) -%}{%- endfor -%}
  {%- do penstock.rows_in_scope(penstock.pit_inputs(inputs), state, kept, columns, [told.key], by) -%}
{%- endmacro %}
