{#- The ledger of a lake is in PostgreSQL, where Spark's SQL does not reach: statements on it go by the adapter, which
    Penstock teaches that. How a model was built last is kept there too, in `penstock_lake.models`. -#}

{% macro spark__ledger(table) -%}
  {%- if execute and model is defined and model.config.materialized == 'incremental' -%}
    {%- do penstock.refuse_incremental() -%}
  {%- endif -%}
  {{- return('penstock.' ~ table) -}}
{%- endmacro %}


{% macro refuse_incremental() -%}
  {%- do exceptions.raise_compiler_error('not yet: models that are `incremental`, on Spark, but for those of the vault; of'
    ~ ' Iceberg tables, models are built by the materialization `penstock`') -%}
{%- endmacro %}


{% macro spark__ledger_rows(statement) -%}
  {%- if not adapter.penstock_ledger -%}
    {%- do exceptions.raise_compiler_error('models on Spark are built by `penstock transform` or `penstock run`: dbt alone'
      ~ ' does not reach the ledger') -%}
  {%- endif -%}
  {{- return(adapter.penstock_ledger(statement)) -}}
{%- endmacro %}


{% macro spark__changes_table(name) -%}{{- return('penstock_lake.' ~ name) -}}{%- endmacro %}


{% macro spark__ensure_changes() -%}
  {%- if penstock.ledger_rows("select 1 where to_regclass('penstock_lake.models') is null") -%}
    {%- do penstock.ledger_rows('create schema if not exists penstock_lake') -%}
    {%- do penstock.ledger_rows('create table if not exists penstock_lake.models (model text primary key,'
      ~ ' definition text not null, version text not null, basis text not null, step text not null,'
      ~ ' fingerprint text not null)') -%}
  {%- endif -%}
{%- endmacro %}


{#- A model has taken in all that each table held at the snapshot it read: it has no feeds. -#}
{% macro spark__taken_of_feeds(name) -%}{{- return([]) -}}{%- endmacro %}


{#- The condition that a row came with one of the loads after one number and up to another. Ranges of ids, since those
    of a window mostly follow each other; they leave out every load that is not in the ledger, or not yet. Where files
    need not be left out by it, `in_code` false keeps the numbers out of the code that Spark makes of a statement: else it
    is another code with each step, compiled and warmed up anew. -#}
{% macro came_between(after, upto, in_code=true) -%}
  {%- set ranges = [] -%}
  {%- set before, behind = ('', '') if in_code else ("named_struct('load', ", ')') -%}
  {%- for row in penstock.ledger_rows('select min(load_id), max(load_id) from (select load_id, load_id - row_number() over'
      ~ ' (order by load_id) as island from penstock.loads where seq > ' ~ after ~ ' and seq <= ' ~ upto
      ~ ') as good group by island order by 1') -%}
    {%- set first, last = before ~ row[0] ~ 'L' ~ behind, before ~ row[1] ~ 'L' ~ behind -%}
    {%- do ranges.append(before ~ '_pen_load' ~ behind ~ ' between ' ~ first ~ ' and ' ~ last) -%}
  {%- endfor -%}
  {#- Not `(false)`: Spark would take `where (false)` for an alias with the name of a column. -#}
  {{- return('(' ~ ranges | join(' or ') ~ ')' if ranges else 'false') -}}
{%- endmacro %}


{% macro has_landed(streams, after, upto) -%}
  {{- return(streams != [] and penstock.ledger_rows("select 1 from penstock.loads where stream in ('" ~ streams | join("', '")
    ~ "') and seq > " ~ after ~ ' and seq <= ' ~ upto ~ ' and landed > 0 limit 1') != []) -}}
{%- endmacro %}


{#- Say how far the model is and how it was built, in one statement: both, or neither when another run was faster. `kept`
    is what the next step is to know. -#}
{% macro mark_in_ledger(name, state, version, kept, anew) -%}
  {%- set row = [name, state.definition, version, state.basis, tojson(kept), env_var('PENSTOCK_MODELS', '')] -%}
  {%- set values = [] -%}
  {%- for value in row -%}{%- do values.append("'" ~ value | replace("'", "''") ~ "'") -%}{%- endfor -%}
  {%- do adapter.penstock_fault('model_written') -%}
  {%- set marked = penstock.ledger_rows(
    "with marked as (insert into penstock.watermarks as known (model, seq, updated_at) values ('" ~ name ~ "', "
    ~ state.upto ~ ', current_timestamp) on conflict (model) do update set seq = excluded.seq,'
    ~ ' updated_at = excluded.updated_at where ' ~ ('true' if anew else 'known.seq = ' ~ state.after) ~ ' returning seq)'
    ~ ' insert into penstock_lake.models (model, definition, version, basis, step, fingerprint) select '
    ~ values | join(', ') ~ ' from marked on conflict (model) do update set definition = excluded.definition,'
    ~ ' version = excluded.version, basis = excluded.basis, step = excluded.step, fingerprint = excluded.fingerprint'
    ~ ' returning model'
  ) -%}
  {%- if not marked -%}
    {%- do exceptions.raise_compiler_error('another run took in loads for ' ~ this ~ ' while this one was at work:'
      ~ ' run it again') -%}
  {%- endif -%}
  {%- do adapter.penstock_fault('model_marked') -%}
{%- endmacro %}
