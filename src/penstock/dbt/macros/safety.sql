{#- Which mode a model is built in, and why it cannot be another. What is not sure is built whole. -#}

{% macro mode_of() -%}
  {%- set asked = config.get('mode') -%}
  {%- if asked and asked not in ['scope', 'history', 'additive', 'whole'] -%}
    {%- do exceptions.raise_compiler_error("mode is 'scope', 'history', 'additive' or 'whole', not '" ~ asked ~ "'") -%}
  {%- endif -%}
  {%- if asked -%}{{- return(asked) -}}{%- endif -%}
  {%- if config.get('scope') -%}{{- return('scope') -}}{%- endif -%}
  {%- if config.get('additive') -%}{{- return('additive') -}}{%- endif -%}
  {%- if penstock.history_told() is not none -%}{{- return('history') -}}{%- endif -%}
  {{- return('whole') -}}
{%- endmacro %}


{#- Why a model is built whole although it asks for less, or ''. What a look at the parsed SQL found is told by
    PENSTOCK_UNSAFE_MODELS: a JSON object from the ids of models to reasons. Without it nobody has looked. -#}
{% macro why_whole(mode, inputs, columns, merged, types) -%}
  {%- if mode == 'whole' -%}{{- return('') -}}{%- endif -%}
  {%- set looked_at = env_var('PENSTOCK_UNSAFE_MODELS', '') -%}
  {%- if mode in ['scope', 'additive'] and not looked_at -%}{{- return('penstock has not looked at it') -}}{%- endif -%}
  {%- set told = fromjson(looked_at or '{}').get(model.unique_id) -%}
  {%- if told -%}{{- return(told) -}}{%- endif -%}
  {%- set tables = inputs | map(attribute='table') | list -%}
  {%- if tables | unique | list | length < tables | length -%}
    {{- return('it reads two tables of one name') -}}
  {%- endif -%}
  {%- for input in inputs -%}
    {%- if input.changes == 'other' -%}
      {{- return('which rows of ' ~ input.name ~ ' changed is not known: it is no model of the materialization penstock,'
        ~ ' and no view that gives a row for each row of one raw table') -}}
    {%- endif -%}
    {#- A step puts other rows in the place of that name. -#}
    {%- set short = adapter.quote(input.model.split('.')[0]) ~ '.' ~ adapter.quote(input.table) -%}
    {%- if input.relation not in sql or sql.count(short) > sql.count(input.relation) -%}
      {{- return('its SQL names ' ~ input.name ~ ' in another way than ref() and source() do') -}}
    {%- endif -%}
  {%- endfor -%}
  {{- return(penstock['why_no_' ~ mode](inputs, columns, merged, types)) -}}
{%- endmacro %}


{% macro why_no_scope(inputs, columns, merged, types) -%}
  {%- set scope = penstock.listed(config.require('scope')) -%}
  {%- for column in scope if column not in columns -%}
    {{- return('it has no column ' ~ column ~ ', which is its scope') -}}
  {%- endfor -%}
  {%- set scoped = [] -%}
  {%- for input in inputs -%}
    {%- set by = penstock.scoped_by(input, scope) -%}
    {%- if by is mapping -%}
      {%- set through = inputs | selectattr('name', 'equalto', by.through) | list -%}
      {%- if not through or penstock.scoped_by(through[0], scope) is mapping -%}
        {{- return(input.name ~ ' is looked up through ' ~ by.through ~ ', which is no input with a scope') -}}
      {%- endif -%}
      {%- set on, theirs = penstock.listed(by.on), penstock.listed(by.get('their') or by.on) -%}
      {%- for pair in [[through[0], on], [input, theirs]] -%}
        {%- set missing = penstock.missing_column(pair[0], pair[1]) -%}
        {%- if missing -%}{{- return(missing) -}}{%- endif -%}
      {%- endfor -%}
    {%- else -%}
      {%- do scoped.append(input) -%}
      {%- if by | length != scope | length -%}
        {{- return(input.name ~ ' needs as many columns as the scope has') -}}
      {%- endif -%}
      {%- set missing = penstock.missing_column(input, by) -%}
      {%- if missing -%}{{- return(missing) -}}{%- endif -%}
    {%- endif -%}
    {#- A merged row is overwritten where it is: in which scope it was, nothing tells. -#}
    {%- if input.changes == 'landed' and input.streams[0] in merged and by != ['_pen_id'] -%}
      {{- return('rows of ' ~ input.streams[0] ~ ' are overwritten: only the scope _pen_id stays') -}}
    {%- elif input.changes == 'landed' and input.streams[0] in merged and input.filtered -%}
      {{- return('rows of ' ~ input.streams[0] ~ ' are overwritten: which of them ' ~ input.name ~ ' gave, nothing tells') -}}
    {%- endif -%}
  {%- endfor -%}
  {%- if not scoped -%}{{- return('no input has the scope') -}}{%- endif -%}
  {{- return(penstock.why_across(scope)) -}}
{%- endmacro %}


{% macro missing_column(input, names) -%}
  {%- set have = penstock.input_types(input).keys() | list -%}
  {%- for name in names if modules.re.fullmatch('[A-Za-z_][A-Za-z0-9_]*', name) and name not in have -%}
    {{- return(input.name ~ ' has no column ' ~ name) -}}
  {%- endfor -%}
  {{- return('') -}}
{%- endmacro %}


{#- What in the words of the SQL looks across scopes. -#}
{% macro why_across(scope) -%}
  {%- set re = modules.re -%}
  {%- set words = penstock.bare_words(sql) -%}
  {%- set across = re.search('\\b(limit|offset|fetch|asof|tablesample|using\\s+sample|recursive)\\b', words) -%}
  {%- if across -%}{{- return('`' ~ across.group(1) ~ '` looks across scopes') -}}{%- endif -%}
  {%- if re.search('\\bover\\s+[a-z_]', words) -%}{{- return('a named window may look across scopes') -}}{%- endif -%}
  {%- for start in re.finditer('\\b(over|distinct\\s+on)\\s*[(]', words) -%}
    {%- set rest = words[start.end():] -%}
    {%- set depth = namespace(open=1, end=rest | length) -%}
    {%- for sign in re.finditer('[()]', rest) if depth.open > 0 -%}
      {%- set depth.open = depth.open + (1 if sign.group() == '(' else -1) -%}
      {%- if depth.open == 0 -%}{%- set depth.end = sign.start() -%}{%- endif -%}
    {%- endfor -%}
    {%- set inner = rest[:depth.end] -%}
    {%- set by = inner if start.group(1) != 'over' else (re.split('\\b(?:order\\s+by|rows|range|groups)\\b', inner)[0]
        if 'partition by' in inner else '') -%}
    {%- for column in scope if not re.search('\\b' ~ (column | lower) ~ '\\b', by) -%}
      {{- return('a window looks across scopes: it is not partitioned by ' ~ column) -}}
    {%- endfor -%}
  {%- endfor -%}
  {{- return('') -}}
{%- endmacro %}
