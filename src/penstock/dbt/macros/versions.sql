{#- history: of a key, what happened at t0 or later is made anew, with the one version before it. t0 is the least time of
    the events of the key that came or went. -#}

{% macro history_step(inputs, columns, types) -%}
  {%- set input, told = inputs[0], penstock.history_told() -%}
  {%- set keys, at = told.key, told.at -%}
  {%- set statements = penstock.temporary(
      '_pen_since', 'select ' ~ penstock.names(keys) ~ ', min(' ~ adapter.quote(at) ~ ') as _pen_from from ('
      ~ penstock.changed_rows(input, penstock.names(keys + [at])) ~ ') as changed where ' ~ adapter.quote(at)
      ~ ' is not null group by ' ~ penstock.names(keys)
    ) + [penstock.has_null(keys, '_pen_since')] -%}
  {%- set statements = statements + penstock.versions_since(columns, keys) -%}
  {%- if told.follows -%}
    {#- What a version carries of its last event may be any event's since it began: from there, then. -#}
    {%- set began = 'select since.*, kept.began from _pen_since as since left join (select ' ~ penstock.names(keys, 'kept.')
        ~ ', max(kept.valid_from) as began from _pen_old as kept inner join _pen_since as since on '
        ~ penstock.equal(keys, 'kept', 'since') ~ ' where kept.valid_from < since._pen_from group by '
        ~ penstock.names(keys, 'kept.') ~ ') as kept on ' ~ penstock.equal(keys, 'kept', 'since') -%}
    {%- set statements = statements + penstock.temporary('_pen_bounds', began, analyze=false) + [
      ['do', 'drop table _pen_since'],
    ] + penstock.temporary('_pen_since', 'select ' ~ penstock.names(keys)
        ~ ', coalesce(began, _pen_from) as _pen_from from _pen_bounds') + [['do', 'drop table _pen_bounds'], ['do', 'drop table _pen_old']]
      + penstock.versions_since(columns, keys) -%}
  {%- endif -%}
  {%- set limit = ' and ' ~ penstock.up_to_now(input) if input.limited else '' -%}
  {%- set events = ' from ' ~ input.relation ~ ' as event inner join _pen_since as since on '
      ~ penstock.equal(keys, 'event', 'since') ~ ' and event.' ~ adapter.quote(at) ~ ' >= since._pen_from' -%}
  {%- if target.type == 'postgres' -%}
    {%- do statements.extend(penstock.temporary('_pen_input_1', 'select event.*' ~ events ~ (' where true' ~ limit if limit else ''))) -%}
    {%- do statements.append(penstock.bind(input, 'select * from _pen_input_1')) -%}
  {%- elif input.changes == 'fed' -%}
    {%- do statements.extend(penstock.temporary('_pen_input_1', 'select event.rowid as _pen_row' ~ events ~ ' where event.'
        ~ adapter.quote(at) ~ ' >= (select min(_pen_from) from _pen_since)')) -%}
    {%- do statements.append(penstock.bind(input, 'select * from ' ~ input.relation
        ~ ' where rowid in (select _pen_row from _pen_input_1)')) -%}
  {%- else -%}
    {%- do statements.append(penstock.bind(input, 'select event.*' ~ events ~ (' where true' ~ limit if limit else ''))) -%}
  {%- endif -%}
  {%- do statements.extend(penstock.temporary('_pen_seed', 'select kept.* from _pen_old as kept inner join _pen_since as since on '
      ~ penstock.equal(keys, 'kept', 'since') ~ ' where kept.valid_from < since._pen_from')) -%}
  {%- set anew = penstock.bound_sql(inputs) | replace('/*_pen_seed ', '') | replace(' _pen_seed*/', '') -%}
  {{- return(statements + penstock.temporary('_pen_new', 'select ' ~ penstock.names(columns) ~ ' from (' ~ anew ~ ') as fresh')) -}}
{%- endmacro %}


{#- `_pen_old`: the versions that hold at `_pen_from` or later, or end right there: a change at that very time can undo
    that something ended one. -#}
{% macro versions_since(columns, keys) -%}
  {%- set since = 'inner join _pen_since as since on ' ~ penstock.equal(keys, 'kept', 'since') -%}
  {%- set holds = '(kept.valid_to is null or kept.valid_to >= since._pen_from)' -%}
  {%- if target.type != 'postgres' -%}{{- return(penstock.old_rows(columns, since, holds)) -}}{%- endif -%}
  {#- By the index: the last version that began before, and those after it. -#}
  {%- set bounds = 'select since.*, (select max(kept.valid_from) from ' ~ this ~ ' as kept where '
      ~ penstock.equal(keys, 'kept', 'since') ~ ' and kept.valid_from < since._pen_from) as began from _pen_since as since' -%}
  {{- return(
    penstock.temporary('_pen_bounds', bounds)
    + penstock.old_rows(columns, 'inner join _pen_bounds as since on ' ~ penstock.equal(keys, 'kept', 'since')
        ~ ' and kept.valid_from >= coalesce(since.began, since._pen_from)', holds)
    + [['do', 'drop table _pen_bounds']]
  ) -}}
{%- endmacro %}


{#- What the macro `history` wrote of itself into the model's SQL, or none when that is not all of the model. -#}
{% macro history_told() -%}
  {%- set only = '(?:\\s|--[^\\n]*(?:\\n|\\Z)|/[*](?!_pen_history)(?:(?![*]/).)*[*]/)*' -%}
  {%- set parts = modules.re.fullmatch('(?s)' ~ only ~ '/[*]_pen_history (.*?)[*]/.*/[*]_pen_history[*]/' ~ only, sql) -%}
  {%- if not parts or sql.count('/*_pen_history') != 2 -%}{{- return(none) -}}{%- endif -%}
  {{- return(fromjson(parts.group(1))) -}}
{%- endmacro %}


{% macro why_no_history(inputs, columns, merged, types) -%}
  {%- set told = penstock.history_told() -%}
  {%- if told is none -%}{{- return('a history that is read step by step is the macro `history` alone') -}}{%- endif -%}
  {%- if inputs | length != 1 or told.relation != inputs[0].relation -%}
    {{- return('a history that is read step by step is of one ref() or source()') -}}
  {%- endif -%}
  {%- if inputs[0].changes == 'landed' and inputs[0].streams[0] in merged -%}
    {{- return('rows of ' ~ inputs[0].streams[0] ~ ' are overwritten: when they were, nothing tells') -}}
  {%- endif -%}
  {%- for name in told.key + ['valid_from', 'valid_to'] if name not in columns -%}
    {{- return('it has no column ' ~ name) -}}
  {%- endfor -%}
  {{- return(penstock.missing_column(inputs[0], told.key + [told.at])) -}}
{%- endmacro %}
