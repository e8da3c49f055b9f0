{#- The post-hook of every incremental model. It runs in the transaction that writes the rows, and writes the very
    limits that the model's SQL was made with: a load that committed in between is left for the next run. -#}

{% macro mark() -%}
  {%- if not execute or config.get('materialized') != 'incremental' -%}{{- return('') -}}{%- endif -%}
  {%- if penstock.preparing() -%}{%- do penstock.keep_step() -%}{{- return('') -}}{%- endif -%}
  {%- set found = modules.re.search('penstock takes in ([0-9]+)[.][.]([0-9]+)', sql) -%}
  {%- if not found -%}
    {%- do exceptions.raise_compiler_error(
      this ~ ' keeps a watermark but does not say what it takes in: put {{ penstock.takes_in(window) }} into its SQL'
    ) -%}
  {%- endif -%}
  {%- set after, upto = found.group(1) | int, found.group(2) | int -%}
  {%- if is_incremental() and upto <= after -%}{{- return('') -}}{%- endif -%}
  {#- Rows that another run took in meanwhile stand in the way of a model that replaces, not of one that only adds. -#}
  {%- set adds = is_incremental() and config.get('incremental_strategy') == 'insert_only' -%}
  {%- set written = run_query(penstock.marking(after, upto, adds)) -%}
  {%- if not written.rows -%}
    {%- do exceptions.raise_compiler_error(
      'another run took in loads for ' ~ this ~ ' while this one was at work; nothing was written: run it again'
    ) -%}
  {%- endif -%}
  {%- if not is_incremental() -%}{{- penstock.analyze(this) -}}{%- endif -%}
{%- endmacro %}


{% macro marking(after, upto, adds) -%}
  {%- set known -%}
    {%- if is_incremental() %} where known.seq {{ '>=' if adds else '=' }} {{ after }}{% endif -%}
  {%- endset -%}
  insert into {{ penstock.ledger('watermarks') }} as known (model, seq, updated_at)
  values ('{{ this.schema }}.{{ this.identifier }}', {{ upto }}, current_timestamp)
  on conflict (model) do update set
    updated_at = excluded.updated_at,
    seq = {{ 'greatest(known.seq, excluded.seq)' if adds else 'excluded.seq' }}
  {{ known }}
  returning seq
{%- endmacro %}
