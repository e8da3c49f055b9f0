{#- What a model of the materialization `penstock` reads, and how its changes are known:

    - `fed`: a model of the same materialization, which writes the rows that came and went into its feed
    - `landed`: a raw table, a table of the vault, which is only added to, or a view that gives a row for each row of
      one: what came is known by `_pen_load`
    - `other`: anything else, whose changes are not known row by row: who reads it is built whole -#}

{% macro listed(value) -%}
  {{- return([] if value is none else ([value] if value is string else value | list)) -}}
{%- endmacro %}


{% macro names(names, alias='') -%}
  {%- set parts = [] -%}
  {%- for name in names -%}{%- do parts.append(alias ~ adapter.quote(name)) -%}{%- endfor -%}
  {{- return(parts | join(', ')) -}}
{%- endmacro %}


{% macro model_inputs(node) -%}
  {%- set inputs = [] -%}
  {%- for id in node.depends_on.nodes -%}
    {%- set parent = graph.sources.get(id) or graph.nodes.get(id) -%}
    {%- if parent and parent.get('config', {}).get('materialized') == 'ephemeral' -%}
      {#- Its SQL is a part of the model's: what that reads is named there. -#}
      {%- for input in penstock.model_inputs(parent) -%}
        {%- do inputs.append(dict(input, changes='other')) -%}
      {%- endfor -%}
    {%- elif parent and parent.resource_type in ['source', 'model', 'seed', 'snapshot'] -%}
      {%- do inputs.append(penstock.model_input(parent)) -%}
    {%- endif -%}
  {%- endfor -%}
  {{- return(inputs) -}}
{%- endmacro %}


{% macro model_input(parent) -%}
  {%- set table = parent.identifier if parent.resource_type == 'source' else (parent.alias or parent.name) -%}
  {%- set origin = penstock.origin_of(parent) -%}
  {%- set materialized = parent.get('config', {}).get('materialized') -%}
  {{- return({
    'name': parent.name,
    'table': table,
    'model': parent.schema ~ '.' ~ table,
    'relation': parent.relation_name,
    'changes': 'fed' if materialized == 'penstock' else ('landed' if origin.row_wise else 'other'),
    'limited': origin.row_wise,
    'unique_key': penstock.listed(parent.get('config', {}).get('unique_key')),
    'reads': origin.reads,
    'feeds': origin.feeds,
    'streams': origin.streams,
    'views': origin.views,
    'opaque': origin.opaque,
  }) -}}
{%- endmacro %}


{#- Where the rows of a node come from: the models with a watermark that it reads (`reads`), those of them with a feed
    (`feeds`), and the `streams`, directly or through `views`; whether it is a table whose rows say in `_pen_load` when
    they came, or only views on one (`row_wise`, if those are); and whether some of it changes in a way that nothing
    tells of (`opaque`). -#}
{% macro origin_of(node) -%}
  {%- set materialized = node.get('config', {}).get('materialized') -%}
  {%- if node.resource_type == 'source' -%}
    {%- set raw = node.schema == 'raw' and not node.identifier.endswith('__delta') -%}
    {{- return({
      'reads': [], 'feeds': [], 'streams': [node.identifier], 'views': [], 'row_wise': raw, 'opaque': not raw,
    }) -}}
  {%- elif materialized == 'penstock' -%}
    {%- set name = penstock.model_name(node) -%}
    {{- return({'reads': [name], 'feeds': [name], 'streams': [], 'views': [], 'row_wise': false, 'opaque': false}) -}}
  {%- elif materialized not in ['view', 'ephemeral', 'incremental'] -%}
    {{- return(penstock.opaque_origin(node)) -}}
  {%- endif -%}
  {%- set reads, feeds, streams, views, origins = [], [], [], [], [] -%}
  {%- for id in node.depends_on.nodes -%}
    {%- set parent = graph.sources.get(id) or graph.nodes.get(id) -%}
    {%- if parent and parent.resource_type in ['source', 'model', 'seed', 'snapshot'] -%}
      {%- set origin = penstock.origin_of(parent) -%}
      {%- do origins.append(origin) -%}
      {%- do reads.extend(origin.reads) -%}
      {%- do feeds.extend(origin.feeds) -%}
      {%- do streams.extend(origin.streams) -%}
      {%- do views.extend(origin.views) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if materialized == 'incremental' -%}
    {%- if not penstock.keeps_watermark(node) -%}
      {{- return(penstock.opaque_origin(node)) -}}
    {%- endif -%}
    {%- set adds = node.config.get('incremental_strategy') == 'insert_only' -%}
    {{- return({
      'reads': [penstock.model_name(node)], 'feeds': [], 'streams': streams | unique | list, 'views': [],
      'row_wise': adds, 'opaque': not adds,
    }) -}}
  {%- endif -%}
  {%- if materialized == 'view' -%}{%- do views.append([node.schema, node.alias or node.name]) -%}{%- endif -%}
  {{- return({
    'reads': reads | unique | list,
    'feeds': feeds | unique | list,
    'streams': streams | unique | list,
    'views': views,
    'row_wise': origins | length == 1 and origins[0].row_wise,
    'opaque': origins | selectattr('opaque') | list | length > 0,
  }) -}}
{%- endmacro %}


{#- Of a table that nothing tells about: it holds no more than the models had that it was made from. -#}
{% macro opaque_origin(node) -%}
  {{- return({
    'reads': penstock.upstream_models(node), 'feeds': [], 'streams': [], 'views': [], 'row_wise': false, 'opaque': true,
  }) -}}
{%- endmacro %}


{#- Whether an incremental model says how far it is: by the post-hook `penstock.mark()`. -#}
{% macro keeps_watermark(node) -%}
  {{- return('penstock.mark(' in (node.config.get('post-hook') or []) | string) -}}
{%- endmacro %}


{#- The inputs, when the SQL of their views is known: a view that does more than to give a row for each row is read
    whole, one that asks what time it is changes without a load, and one with a `where` leaves rows out (`filtered`).
    Of two tables of one name neither can stand under that name in a step. -#}
{% macro seen_through(inputs, definitions) -%}
  {%- set seen = [] -%}
  {%- for input in inputs -%}
    {%- set through = namespace(plain=true, filtered=false, opaque=input.opaque) -%}
    {%- for view in input.views -%}
      {%- set definition = definitions.get(view | join('.'), 'join') -%}
      {%- set words = penstock.bare_words(definition) -%}
      {%- if not penstock.is_row_wise(definition) -%}{%- set through.plain = false -%}{%- endif -%}
      {%- if modules.re.search('\\bwhere\\b', words) -%}{%- set through.filtered = true -%}{%- endif -%}
      {%- if penstock.beyond_rows(words) -%}{%- set through.opaque = true -%}{%- endif -%}
    {%- endfor -%}
    {%- for other in inputs if other.table | lower == input.table | lower and other.relation != input.relation -%}
      {%- set through.plain = false -%}
    {%- endfor -%}
    {%- set input = dict(input, filtered=through.filtered, opaque=through.opaque) -%}
    {%- if through.plain or not input.limited -%}
      {%- do seen.append(input) -%}
    {%- else -%}
      {%- do seen.append(dict(input, changes='other', limited=false)) -%}
    {%- endif -%}
  {%- endfor -%}
  {{- return(seen) -}}
{%- endmacro %}


{#- Whether a select gives at most one row for each row of what it reads, whatever the others are. Seen by its words:
    what is not sure counts as not so. -#}
{% macro is_row_wise(code) -%}
  {%- set words = penstock.bare_words(code) -%}
  {{- return('_pen_load' in words and not penstock.beyond_a_row(words) and not modules.re.search('\\bunion\\b', words)) -}}
{%- endmacro %}


{#- Whether a model's rows may change although nothing landed: by an input of which nothing tells, or by its own SQL. -#}
{% macro is_opaque(inputs) -%}
  {{- return(inputs | selectattr('opaque') | list | length > 0 or penstock.beyond_rows(penstock.bare_words(sql)) != '') -}}
{%- endmacro %}


{#- The first word of a select by which it gives something else of the same rows at another time, or ''. -#}
{% macro beyond_rows(words) -%}
  {%- set beyond = modules.re.search(
    '\\b(get_)?current_(date|time|timestamp|localtime|localtimestamp|user|role|setting)\\b|\\b(localtime|localtimestamp|session_user)\\b'
    ~ '|\\b(now|today|age|random|uuid|uuidv4|uuidv7|gen_random_uuid|clock_timestamp|statement_timestamp|transaction_timestamp'
    ~ '|timeofday|nextval|currval|setseed)\\s*[(]', words
  ) -%}
  {{- return(beyond.group().strip(' (') if beyond else '') -}}
{%- endmacro %}


{#- The first word of a select by which a row of it may depend on more than one row of what it reads, or ''. -#}
{% macro beyond_a_row(words) -%}
  {%- set beyond = modules.re.search(
    '\\b(join|intersect|except|group|distinct|having|over|limit|offset|fetch|exists|qualify|asof|unnest|lateral'
    ~ '|generate_series|tablesample|sample|pivot|unpivot|sum|count|min|max|avg|array_agg|string_agg|random|now)\\b'
    ~ '|\\bin\\s*\\(\\s*select\\b|,\\s*\\(\\s*select\\b|=\\s*\\(\\s*select\\b'
    ~ '|\\bfrom\\s+[^\\s,()]+(\\s+(as\\s+)?[a-z_0-9]+)?\\s*,', words
  ) -%}
  {{- return(beyond.group().strip() if beyond else penstock.beyond_rows(words)) -}}
{%- endmacro %}


{#- SQL without its comments, texts and quotes, in small letters. -#}
{% macro bare_words(code) -%}
  {%- set re = modules.re -%}
  {%- set code = re.sub("(?s)[{]#.*?#[}]|/[*].*?[*]/|--[^\\n]*", ' ', code) -%}
  {{- return(re.sub("'[^']*'", "''", code) | replace('"', '') | lower) -}}
{%- endmacro %}


{#- Models of the materialization that read a node, directly or through views: who takes in its feed. -#}
{% macro readers_of(id) -%}
  {%- set readers = [] -%}
  {%- for node in graph.nodes.values() if node.resource_type == 'model' and id in node.depends_on.nodes -%}
    {%- if node.config.materialized == 'penstock' -%}
      {%- do readers.append(penstock.model_name(node)) -%}
    {%- elif node.config.materialized in ['view', 'ephemeral'] -%}
      {%- do readers.extend(penstock.readers_of(node.unique_id)) -%}
    {%- endif -%}
  {%- endfor -%}
  {{- return(readers | unique | sort) -}}
{%- endmacro %}
