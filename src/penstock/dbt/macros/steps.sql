{#- Prepared steps: the statements of a model's next step, which are the same each time but for the loads they take in.
    Penstock asks for them by a variable of the environment, once for each state of the models, and then runs the steps
    that follow loads without dbt. -#}

{#- The state of the models to prepare steps for; empty when this is a step itself. -#}
{% macro preparing() -%}
  {{- return(env_var('PENSTOCK_PREPARE', '') if execute and is_incremental() else '') -}}
{%- endmacro %}


{#- A window that no load is in: numbers that stand for those of a step, and that no step has. -#}
{% macro any_window() -%}
  {{- return({'after': 9223372036854770001, 'upto': 9223372036854770002}) -}}
{%- endmacro %}


{% macro keep_step() -%}
  {%- set strategy = config.get('incremental_strategy') -%}
  {%- if strategy not in ['replacing', 'insert_only'] -%}{{- return('') -}}{%- endif -%}
  {%- set columns = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
  {%- set adds = strategy == 'insert_only' -%}
  {%- set write = penstock.inserting if adds else penstock.replacing -%}
  {%- set window = penstock.any_window() -%}
  {%- set statements = [
    ['do', penstock.few_rows_expected(true)],
    ['do', penstock.fresh_rows(sql)],
    ['rows', write(this, '_pen_fresh', config.get('unique_key'), columns)],
    ['mark', penstock.marking(window.after, window.upto, adds)],
  ] | selectattr(1) | list -%}
  {%- do penstock.keep_statements(statements) -%}
{%- endmacro %}


{% macro fresh_rows(sql) -%}
  {{- return(adapter.dispatch('fresh_rows', 'penstock')(sql)) -}}
{%- endmacro %}

{% macro default__fresh_rows(sql) -%}
  create or replace temporary table _pen_fresh as {{ sql }}
{%- endmacro %}

{% macro postgres__fresh_rows(sql) -%}
  create temporary table _pen_fresh on commit drop as {{ sql }}
{%- endmacro %}


{#- Statements are run in one transaction, each for what its first word says:
    do     run it
    rows   run it; its rows are those that the step writes
    news   when it gives no row there is nothing to take in: only the mark is left to do
    sound  when it gives a row the step cannot be taken so, and the model has to be built otherwise
    mark   moves the watermark; when it gives no row, another run was faster -#}
{% macro keep_statements(statements) -%}
  {%- set step = {
    'id': model.unique_id,
    'name': model.name,
    'model': penstock.model_name(model),
    'reads': penstock.upstream_models(model),
    'window': penstock.any_window(),
    'sql': sql,
    'statements': statements,
  } -%}
  {%- do run_query(
    "insert into " ~ penstock.ledger('prepared_steps') ~ " (model, fingerprint, step, prepared_at) values ('"
    ~ step.model ~ "', '" ~ penstock.preparing() ~ "', '" ~ (tojson(step) | replace("'", "''"))
    ~ "', current_timestamp) on conflict (model) do update set fingerprint = excluded.fingerprint,"
    ~ " step = excluded.step, prepared_at = excluded.prepared_at"
  ) -%}
{%- endmacro %}
