{#- additive: sums move by what came less what went. A group is there as long as its first additive column, a count of
    rows, is above zero. -#}

{% macro additive_step(inputs, columns, types) -%}
  {%- set sums = penstock.listed(config.require('additive')) -%}
  {%- set groups = columns | reject('in', sums) | list -%}
  {%- set keys = penstock.listed(config.require('unique_key')) -%}
  {%- set near = penstock.near_columns(sums, keys) -%}
  {%- set model_sql = penstock.bound_sql(inputs) -%}
  {%- set statements = [] -%}
  {%- for gone in [false, true] -%}
    {%- if not gone or inputs | selectattr('changes', 'equalto', 'fed') | list -%}
      {%- for input in inputs -%}
        {%- do statements.append(penstock.bind(input, penstock.changed_rows(input, penstock.input_columns(input), gone))) -%}
      {%- endfor -%}
      {%- set moved = [] -%}
      {%- for name in columns -%}
        {%- do moved.append(('-' if gone and name in sums else '') ~ adapter.quote(name)
            ~ (' as ' ~ adapter.quote(name) if gone and name in sums else '')) -%}
      {%- endfor -%}
      {%- set select = 'select ' ~ moved | join(', ') ~ ' from (' ~ model_sql ~ ') as moved' -%}
      {%- if gone -%}
        {%- do statements.append(['do', 'insert into _pen_delta (' ~ penstock.names(columns) ~ ') ' ~ select]) -%}
      {%- else -%}
        {%- do statements.extend(penstock.temporary('_pen_delta', select, analyze=false)) -%}
      {%- endif -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if target.type == 'postgres' -%}{%- do statements.append(['do', 'analyze _pen_delta']) -%}{%- endif -%}
  {%- do statements.append(penstock.has_null((keys + near + sums) | unique | list, '_pen_delta')) -%}
  {%- set summed = [] -%}
  {%- for name in columns -%}
    {%- do summed.append('cast(sum(' ~ adapter.quote(name) ~ ') as ' ~ types[name] ~ ') as ' ~ adapter.quote(name)
        if name in sums else adapter.quote(name)) -%}
  {%- endfor -%}
  {%- set all_of_it = 'select * from (select ' ~ summed | join(', ') ~ ' from (select ' ~ penstock.names(columns)
      ~ ' from _pen_delta union all select ' ~ penstock.names(columns) ~ ' from _pen_old) as moved group by '
      ~ penstock.names(groups) ~ ') as summed where ' ~ adapter.quote(sums[0]) ~ ' <> 0' -%}
  {#- By the time too: rows lie in its order, and DuckDB need not look at the others. -#}
  {%- set found = penstock.among(keys + near, '_pen_delta', none, 'kept.') if target.type != 'postgres' or keys | length == 1 else '' -%}
  {%- set kept = penstock.old_rows(columns, '', found) if found else penstock.old_rows(
      columns, 'inner join (select distinct ' ~ penstock.names(keys) ~ ' from _pen_delta) as moved on '
      ~ penstock.equal(keys, 'kept', 'moved'), '') -%}
  {{- return(statements + kept + penstock.temporary('_pen_new', all_of_it)) -}}
{%- endmacro %}


{#- Of the columns that the table is written in the order of, those that the key decides and that DuckDB finds by. -#}
{% macro near_columns(sums, keys) -%}
  {%- if target.type == 'postgres' -%}{{- return([]) -}}{%- endif -%}
  {{- return(penstock.listed(config.get('order_by')) | reject('in', sums + keys) | list) -}}
{%- endmacro %}


{% macro input_columns(input) -%}
  {{- return(penstock.names(penstock.input_types(input).keys() | list)) -}}
{%- endmacro %}


{#- What is not a sum over single rows. -#}
{% macro why_no_additive(inputs, columns, merged, types) -%}
  {%- set sums = penstock.listed(config.require('additive')) -%}
  {%- for name in sums -%}
    {%- if name not in columns -%}{{- return('it has no column ' ~ name) -}}{%- endif -%}
    {%- if modules.re.search('float|double|real', types[name] | lower) -%}
      {{- return(name ~ ' is a floating-point number: its sum depends on the order of its parts') -}}
    {%- endif -%}
  {%- endfor -%}
  {%- for input in inputs if input.changes == 'landed' and input.streams[0] in merged -%}
    {{- return('rows of ' ~ input.streams[0] ~ ' are overwritten: what they were, nothing tells') -}}
  {%- endfor -%}
  {%- set words = penstock.bare_words(sql) -%}
  {%- set other = modules.re.search(
    '\\b(join|distinct|having|limit|offset|fetch|over|exists|except|intersect|qualify|rollup|cube|recursive|lateral'
    ~ '|min|max|avg|median|mode|stddev|variance|array_agg|list|string_agg|bool_and|bool_or|any_value|first|last)\\b'
    ~ '|\\bin\\s*\\(\\s*(?:select|with)\\b', words
  ) -%}
  {%- if other -%}{{- return('`' ~ (other.group(1) or 'in (select') ~ '` is not a sum over rows') -}}{%- endif -%}
  {%- if modules.re.search('\\bfrom\\s+[^\\s,()]+(\\s+(as\\s+)?[a-z_0-9]+)?\\s*,', words) -%}
    {{- return('a join is not a sum over rows') -}}
  {%- endif -%}
  {%- if not modules.re.search('\\bgroup\\s+by\\b', words) -%}{{- return('it has no group by') -}}{%- endif -%}
  {{- return('') -}}
{%- endmacro %}
