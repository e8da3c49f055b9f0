{#- Prepared steps: the statements of a model's next step, which are the same each time but for the loads they take in.
    Penstock runs the steps that follow loads by them, without dbt, as long as `fingerprint` in `penstock_changes.models`
    is that of the models and the raw tables as they are.

    A model of the materialization `penstock` has its step there whenever dbt has built it. An incremental model that
    replaces or inserts, by `penstock.mark()`, is asked for its step by a variable of the environment. -#}

{#- A plan as it is kept: with the model's own SQL, and which build of each model that it reads it follows from. -#}
{% macro kept_step(plan, read) -%}
  {%- set few = penstock.few_rows_expected(true) -%}
  {{- return(tojson({
    'id': model.unique_id,
    'name': model.name,
    'model': plan.model,
    'reads': plan.reads,
    'feeds': plan.feeds,
    'streams': plan.streams,
    'read': read,
    'sql': sql,
    'step': ([['do', few]] if few else []) + plan.step,
  })) -}}
{%- endmacro %}


{#- Whether an incremental model is asked for its step, instead of taking one. -#}
{% macro preparing() -%}
  {{- return(execute and is_incremental() and env_var('PENSTOCK_PREPARE', '') != '') -}}
{%- endmacro %}


{#- A window that no load is in: numbers that stand for those of a step, and that no step has. -#}
{% macro any_window() -%}
  {{- return({'after': 9223372036854770001, 'upto': 9223372036854770002}) -}}
{%- endmacro %}


{% macro for_any_window(text) -%}
  {%- set window = penstock.any_window() -%}
  {{- return(text | replace(window.after | string, '{after}') | replace(window.upto | string, '{upto}')) -}}
{%- endmacro %}


{% macro keep_step() -%}
  {%- set strategy = config.get('incremental_strategy') -%}
  {%- if strategy not in ['replacing', 'insert_only'] -%}{{- return('') -}}{%- endif -%}
  {%- set columns = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
  {%- set adds = strategy == 'insert_only' -%}
  {%- set write = penstock.inserting if adds else penstock.replacing -%}
  {%- set window = penstock.any_window() -%}
  {%- set statements = [
    ['do', penstock.for_any_window(penstock.fresh_rows(sql))],
    ['rows', write(this, '_pen_fresh', config.get('unique_key'), columns)],
    ['mark', penstock.for_any_window(penstock.marking(window.after, window.upto, adds))],
  ] -%}
  {%- set plan = {
    'model': penstock.model_name(model),
    'reads': penstock.upstream_models(model),
    'feeds': [],
    'streams': [],
    'mode': 'incremental',
    'reason': '',
    'step': statements,
  } -%}
  {%- do run_query(penstock.create_changes()) -%}
  {%- do penstock.keep_state(plan.model, plan, {'definition': '', 'basis': '', 'read': {}}, '') -%}
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
