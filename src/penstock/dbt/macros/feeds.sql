{#- Change feeds: a model writes the rows that came and went in a step into a table of its own in `penstock_changes`,
    with the step's upper `seq`, in the same transaction; who reads the model takes in just those. A row goes out of
    the feed when all readers have it: `penstock_changes.marks` says how much of each feed a model has taken in, which
    is all that the feed held at its last step. Of inputs that are further than others a model has taken in more than
    its watermark says, never less.

    A feed has one row whose `_pen_gone` is null: all changes after that row's `_pen_seq` are there. On PostgreSQL feeds
    are unlogged, so that they cost no write-ahead log: a crash empties them, and that row with them, so that a reader
    sees that it has to build itself whole once.

    `penstock_changes.models` says of each model how it was built last; `fingerprint` is that of the models and the raw
    tables which Penstock had it built for, empty when somebody else did. -#}

{% macro changes_schema() -%}{{- return('penstock_changes') -}}{%- endmacro %}


{% macro changes_table(name) -%}
  {{- return(adapter.dispatch('changes_table', 'penstock')(name)) -}}
{%- endmacro %}

{% macro default__changes_table(name) -%}
  {{- return(api.Relation.create(database=target.database, schema=penstock.changes_schema(), identifier=name)) -}}
{%- endmacro %}


{#- The names of a schema and a table, joined; with a digest where that would be longer than PostgreSQL has names, or
    could be another model's. -#}
{% macro feed(model) -%}
  {%- set schema, table = model.split('.', 1) -%}
  {%- set name = schema ~ '__' ~ table -%}
  {%- if name.isascii() and name | length <= 63 and '__' not in schema and not schema.endswith('_') and not table.startswith('_') -%}
    {{- return(penstock.changes_table(name)) -}}
  {%- endif -%}
  {{- return(penstock.changes_table(modules.re.sub('[^A-Za-z0-9_]', '', name)[:54] ~ '_' ~ local_md5(model)[:8])) -}}
{%- endmacro %}


{#- Made in a transaction of its own: models that are built side by side would wait for one another. -#}
{% macro ensure_changes() -%}
  {%- do adapter.dispatch('ensure_changes', 'penstock')() -%}
{%- endmacro %}

{% macro default__ensure_changes() -%}
  {%- set present = "select 1 from information_schema.tables where table_schema = '" ~ penstock.changes_schema()
      ~ "' and table_name = 'marks'" -%}
  {%- if not run_query(present).rows -%}
    {%- call statement('ensure_changes', auto_begin=True) -%}{{- penstock.create_changes() -}}{%- endcall -%}
    {%- do adapter.commit() -%}
  {%- endif -%}
{%- endmacro %}


{% macro create_changes() -%}
  {%- if target.type == 'postgres' %}select pg_advisory_xact_lock(hashtext('penstock_changes'));{% endif %}
  create schema if not exists {{ penstock.changes_schema() }};
  create table if not exists {{ penstock.changes_table('models') }} (
    model {{ 'text' if target.type == 'postgres' else 'varchar' }} primary key,
    definition text not null,
    version text not null,
    basis text not null,
    mode text not null,
    reason text not null,
    step text not null,
    fingerprint text not null
  );
  create table if not exists {{ penstock.changes_table('marks') }} (
    model {{ 'text' if target.type == 'postgres' else 'varchar' }} not null,
    input {{ 'text' if target.type == 'postgres' else 'varchar' }} not null,
    seq bigint not null,
    primary key (model, input)
  )
{%- endmacro %}


{#- The models whose feeds are inputs of a model, directly or through views. -#}
{% macro feeds_of(inputs) -%}
  {%- set feeds = [] -%}
  {%- for input in inputs -%}{%- do feeds.extend(input.feeds) -%}{%- endfor -%}
  {{- return(feeds | unique | sort) -}}
{%- endmacro %}


{#- What a step takes in of a feed: what came into it since the model's last one. -#}
{% macro in_feed(model) -%}
  {{- return('_pen_gone is not null and _pen_seq > {after ' ~ model ~ '} and _pen_seq <= {upto ' ~ model ~ '}') -}}
{%- endmacro %}


{#- A condition on the feed of an input that reaches back to where this step begins. -#}
{% macro reaches_back(model) -%}
  {{- return('exists (select 1 from ' ~ penstock.feed(model) ~ ' where _pen_gone is null and _pen_seq <= {after ' ~ model ~ '})') -}}
{%- endmacro %}


{#- How much of each feed a model has taken in: rows of the feed's model, and a number. -#}
{% macro feed_marks(name) -%}
  {{- return(adapter.dispatch('feed_marks', 'penstock')(name)) -}}
{%- endmacro %}

{% macro default__feed_marks(name) -%}
  {{- return(run_query('select input, seq from ' ~ penstock.changes_table('marks') ~ " where model = '" ~ name ~ "'").rows) -}}
{%- endmacro %}


{#- The statements that note how much of each feed a model has taken in now. -#}
{% macro keep_marks(name, inputs) -%}
  {%- set rows = [] -%}
  {%- for model in penstock.feeds_of(inputs) -%}
    {%- do rows.append("('" ~ name ~ "', '" ~ model ~ "', {upto " ~ model ~ '})') -%}
  {%- endfor -%}
  {%- if not rows -%}{{- return([]) -}}{%- endif -%}
  {{- return([['do', 'insert into ' ~ penstock.changes_table('marks') ~ ' (model, input, seq) values ' ~ rows | join(', ')
    ~ ' on conflict (model, input) do update set seq = excluded.seq']]) -}}
{%- endmacro %}


{#- The statements that make a model's feed anew, holding nothing: it reaches back to `upto`. -#}
{% macro new_feed(model) -%}
  {%- set feed = penstock.feed(model) -%}
  {{- return([
    ['do', 'drop table if exists ' ~ feed],
    ['do', 'create ' ~ ('unlogged ' if target.type == 'postgres' else '') ~ 'table ' ~ feed
      ~ ' as select cast(0 as bigint) as _pen_seq, cast(null as boolean) as _pen_gone, kept.* from ' ~ this
      ~ ' as kept where false'],
    ['do', 'insert into ' ~ feed ~ ' (_pen_seq) values ({upto})'],
  ]) -}}
{%- endmacro %}


{#- The statements that keep what came and went (`_pen_came`, `_pen_gone`) in the feed, and let go of what all readers
    have. -#}
{% macro keep_changes(model, readers, columns) -%}
  {%- set feed = penstock.feed(model) -%}
  {%- set named = penstock.names(columns) -%}
  {%- if not readers -%}
    {{- return([
      ['do', 'delete from ' ~ feed],
      ['do', 'insert into ' ~ feed ~ ' (_pen_seq) values ({upto})'],
    ]) -}}
  {%- endif -%}
  {%- set taken = "least({after}, (select coalesce(min(coalesce(marks.seq, reader.seq)), {after}) from "
      ~ penstock.ledger('watermarks') ~ ' as reader left join ' ~ penstock.changes_table('marks')
      ~ " as marks on marks.model = reader.model and marks.input = '" ~ model
      ~ "' where reader.model in ('" ~ readers | join("', '") ~ "')))" -%}
  {{- return([
    ['do', 'insert into ' ~ feed ~ ' (_pen_seq) select {after} where not exists (select 1 from ' ~ feed
      ~ ' where _pen_gone is null)'],
    ['do', 'delete from ' ~ feed ~ ' where _pen_gone is not null and _pen_seq <= ' ~ taken],
    ['do', 'update ' ~ feed ~ ' set _pen_seq = ' ~ taken ~ ' where _pen_gone is null and _pen_seq < ' ~ taken],
    ['do', 'insert into ' ~ feed ~ ' (_pen_seq, _pen_gone, ' ~ named ~ ')'
      ~ ' select {upto}, true, ' ~ named ~ ' from _pen_gone'
      ~ ' union all select {upto}, false, ' ~ named ~ ' from _pen_came'],
  ]) -}}
{%- endmacro %}


{#- A query that gives a row when the feed of some input does not reach back to where this step begins. -#}
{% macro short_feeds(inputs) -%}
  {%- set short = [] -%}
  {%- for input in inputs if input.changes == 'fed' -%}
    {%- do short.append('not ' ~ penstock.reaches_back(input.model)) -%}
  {%- endfor -%}
  {{- return('select 1 where ' ~ (short | join(' or ') or 'false')) -}}
{%- endmacro %}


{#- A query that gives a row when anything came or went of what a model reads, directly or through views. -#}
{% macro any_news(inputs) -%}
  {%- set news, streams = [], [] -%}
  {%- for input in inputs -%}{%- do streams.extend(input.streams) -%}{%- endfor -%}
  {%- for model in penstock.feeds_of(inputs) -%}
    {%- do news.append('exists (select 1 from ' ~ penstock.feed(model) ~ ' where ' ~ penstock.in_feed(model) ~ ')') -%}
    {#- A feed that was lost says nothing. -#}
    {%- do news.append('not ' ~ penstock.reaches_back(model)) -%}
  {%- endfor -%}
  {%- if streams -%}
    {%- do news.append('exists (select 1 from ' ~ penstock.ledger('loads') ~ " where stream in ('"
      ~ streams | unique | join("', '") ~ "') and seq > {after} and seq <= {upto} and landed > 0)") -%}
  {%- endif -%}
  {{- return('select 1 where ' ~ (news | join(' or ') or 'false')) -}}
{%- endmacro %}


{#- Rows of an input that came (`gone` false), went (true), or either (none), in the step. -#}
{% macro changed_rows(input, columns, gone=none) -%}
  {%- if input.changes == 'fed' -%}
    {{- return('select ' ~ columns ~ ' from ' ~ penstock.feed(input.model) ~ ' where ' ~ penstock.in_feed(input.model)
      ~ {none: '', true: ' and _pen_gone', false: ' and not _pen_gone'}[gone]) -}}
  {%- endif -%}
  {{- return('select ' ~ columns ~ ' from ' ~ input.relation ~ ' where ' ~ ('false' if gone else '{loads}')) -}}
{%- endmacro %}


{#- Of the keys of a fed input that changed in the step, the rows as they are at its end. -#}
{% macro last_images(input) -%}
  {{- return('select ' ~ penstock.input_columns(input) ~ ' from (select *, row_number() over (partition by ' ~ penstock.names(input.unique_key)
    ~ ' order by _pen_seq desc, _pen_gone) as _pen_place from ' ~ penstock.feed(input.model)
    ~ ' where ' ~ penstock.in_feed(input.model) ~ ') as images'
    ~ ' where _pen_place = 1 and not _pen_gone') -}}
{%- endmacro %}
