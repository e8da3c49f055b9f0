{#- The post-hook of every incremental model: runs in the transaction that writes the rows. -#}

{% macro mark() -%}
  {%- if not execute -%}{{- return('') -}}{%- endif -%}
  {%- set found = modules.re.search('penstock takes in ([0-9]+)\.\.([0-9]+)', sql) -%}
  {%- if not found -%}
    {%- do exceptions.raise_compiler_error(
      this ~ ' keeps a watermark but does not say what it takes in: put {{ penstock.takes_in(window) }} into its SQL'
    ) -%}
  {%- endif -%}
  {%- set after, upto = found.group(1) | int, found.group(2) | int -%}
  {%- set name = this.schema ~ '.' ~ this.identifier -%}
  {%- set watermarks = penstock.ledger('watermarks') -%}
  {%- if not is_incremental() -%}
    {{ penstock.analyze(this) }}
    delete from {{ watermarks }} where model = '{{ name }}';
    insert into {{ watermarks }} (model, seq, updated_at) values ('{{ name }}', {{ upto }}, current_timestamp);
  {%- elif upto > after -%}
    {%- set now = run_query("select coalesce(max(seq), 0) from " ~ watermarks ~ " where model = '" ~ name ~ "'" ~ penstock.for_update()) -%}
    {{ log(now) }}
  {%- endif -%}
{%- endmacro %}
