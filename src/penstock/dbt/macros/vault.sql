{#- Data Vault 2.0, insert-only. What a table holds is a function of the set of records that were landed: a row is kept
    for every distinct key, and in a satellite for every distinct state of a key at an instant. Which of them begin a
    version is decided on reading (`satellite_versions`), since a row that is left out because the state before it was
    the same would be missing as soon as another one arrives late in between. -#}

{% macro vault_name(name) -%}
  {{- return(var('penstock_vault', {}).get('names', {}).get(name, name)) -}}
{%- endmacro %}


{% macro ghost_date() -%}'1900-01-01 00:00:00+00'{%- endmacro %}


{% macro hub(key, business_key, sources, normalize=none) -%}
  {%- set parts = [business_key] if business_key is string else business_key -%}
  {%- set shown = {} -%}
  {%- for part in parts -%}{%- do shown.update({part: penstock.kept_text(part, normalize)}) -%}{%- endfor -%}
  {{- penstock.vault_table(
    sources, parts, {key: penstock.hash_business_key(parts, normalize)}, shown,
    unique=[key], rule=penstock.rule_text(parts, normalize), where=penstock.any_known(parts, normalize)
  ) -}}
{%- endmacro %}


{% macro link(key, hubs, sources, child_key=[], required=[], normalize=none) -%}
  {%- set children = [child_key] if child_key is string else child_key -%}
  {%- set parts = penstock.link_parts(hubs, children) -%}
  {%- set hashes = {key: penstock.hash_business_key(parts, normalize)} -%}
  {%- do hashes.update(penstock.hub_hashes(hubs, hubs.keys(), required, normalize)) -%}
  {%- set shown = {} -%}
  {%- for child in children -%}{%- do shown.update({child: penstock.kept_text(child, normalize)}) -%}{%- endfor -%}
  {{- penstock.vault_table(
    sources, parts | unique | list, hashes, shown,
    unique=[key], rule=penstock.rule_text(parts, normalize), where=penstock.any_known(parts, normalize),
    indexed=hubs.keys() | list
  ) -}}
{%- endmacro %}


{% macro satellite(key, business_key, columns, applied, sources, sequence=[], delete_when='false', normalize=none) -%}
  {%- set parts = [business_key] if business_key is string else business_key -%}
  {%- set later = [sequence] if sequence is string else sequence -%}
  {%- set shown = {} -%}
  {%- for column in columns + later -%}{%- do shown.update({column: column}) -%}{%- endfor -%}
  {{- penstock.vault_table(
    sources, (parts + columns + later + [applied]) | unique | list,
    {key: penstock.hash_business_key(parts, normalize)}, shown,
    unique=[key, penstock.vault_name('applied_at'), penstock.vault_name('hash_diff')]
      + ([penstock.vault_name('sequence_hash')] if later else []),
    rule=penstock.rule_text(parts, normalize), where=penstock.any_known(parts, normalize),
    state={'applied': applied, 'diff': columns, 'sequence': later, 'delete_when': delete_when}
  ) -}}
{%- endmacro %}


{% macro effectivity_satellite(
  key, hubs, applied, sources, driving_key=[], starts=none, ends=none, child_key=[], required=[], delete_when='false',
  normalize=none
) -%}
  {%- set children = [child_key] if child_key is string else child_key -%}
  {%- set parts = penstock.link_parts(hubs, children) -%}
  {%- set driving = [driving_key] if driving_key is string else driving_key -%}
  {%- for name in driving if name not in hubs -%}
    {%- do exceptions.raise_compiler_error(
      'effectivity_satellite: driving_key ' ~ name ~ ' is none of the hub keys ' ~ hubs.keys() | join(', ')
    ) -%}
  {%- endfor -%}
  {%- set hashes = {key: penstock.hash_business_key(parts, normalize)} -%}
  {%- do hashes.update(penstock.hub_hashes(hubs, driving, required, normalize)) -%}
  {%- set shown = {penstock.vault_name('starts_at'): starts or applied} -%}
  {%- if ends -%}{%- do shown.update({penstock.vault_name('ends_at'): ends}) -%}{%- endif -%}
  {%- set period = ([starts] if starts else []) + ([ends] if ends else []) -%}
  {{- penstock.vault_table(
    sources, (parts + period + [applied]) | unique | list, hashes, shown,
    unique=[key, penstock.vault_name('applied_at'), penstock.vault_name('hash_diff')],
    rule=penstock.rule_text(parts, normalize), where=penstock.any_known(parts, normalize) ~ ' and ' ~ (starts or applied) ~ ' is not null',
    state={'applied': applied, 'diff': period, 'sequence': [], 'delete_when': delete_when},
    indexed=driving
  ) -}}
{%- endmacro %}


{% macro link_parts(hubs, children) -%}
  {%- set parts = [] -%}
  {%- for business_key in hubs.values() -%}
    {%- do parts.extend([business_key] if business_key is string else business_key) -%}
  {%- endfor -%}
  {{- return(parts + children) -}}
{%- endmacro %}


{% macro hub_hashes(hubs, names, required, normalize) -%}
  {%- set hashes = {} -%}
  {%- for name in names -%}
    {%- do hashes.update({
      name: penstock.hash_business_key(hubs[name], normalize, 'required' if name in required else 'unknown')
    }) -%}
  {%- endfor -%}
  {{- return(hashes) -}}
{%- endmacro %}


{% macro kept_text(column, normalize) -%}
  {#- A key is kept as it is hashed: which of its spellings came first must not show. -#}
  {{- return(penstock.key_text(column, normalize) if penstock.normalization(column, normalize) else column) -}}
{%- endmacro %}


{% macro any_known(parts, normalize) -%}
  ({% for part in parts %}{{ ' or ' if not loop.first }}{{ penstock.key_text(part, normalize) }} is not null{% endfor %})
{%- endmacro %}


{% macro rule_text(parts, normalize) -%}
  {%- set found = [penstock.hash_rule()] -%}
  {%- for part in parts | unique -%}
    {%- set steps = penstock.normalization(part, normalize) -%}
    {%- if steps -%}{%- do found.append(part ~ ':' ~ steps | join('+')) -%}{%- endif -%}
  {%- endfor -%}
  {{- return(found | join(' ')) -}}
{%- endmacro %}


{% macro vault_table(sources, read, hashes, shown, unique, rule, where, state=none, indexed=[]) -%}
  {#- The whole model: its configuration, its window, and the rows that the loads in it give, each once. -#}
  {%- set load_date, record_source = penstock.vault_name('load_date'), penstock.vault_name('record_source') -%}
  {%- set hash_diff, applied_at = penstock.vault_name('hash_diff'), penstock.vault_name('applied_at') -%}
  {%- set hash_rule, is_deleted = penstock.vault_name('hash_rule'), penstock.vault_name('is_deleted') -%}
  {%- set sequence_hash = penstock.vault_name('sequence_hash') -%}
  {%- set others = [['_pen_load']] -%}
  {%- for name in indexed -%}{%- do others.append([name]) -%}{%- endfor -%}
  {{- penstock.vault_config('insert_only', unique, others, {
    'key': hashes.keys() | first, 'column': hash_rule, 'rule': rule,
  }) -}}
  {%- set window = penstock.window() -%}
  {%- do penstock.same_rule(hashes.keys() | first, hash_rule, rule, window) -%}
  {%- set arrived = penstock.vault_arrived(sources, read, (state or {}).get('delete_when'), window) -%}
  {%- set made = dict(hashes) -%}
  {%- do made.update(shown) -%}
  {%- if state -%}
    {%- set types = penstock.column_types(state.diff, arrived) -%}
    {%- do made.update({applied_at: state.applied, is_deleted: '_pen_deleted'}) -%}
    {%- do made.update({hash_diff: penstock.hash_diff(
      state.diff + ['_pen_deleted'], dict(types, _pen_deleted='boolean')
    )}) -%}
    {%- if state.sequence -%}
      {%- do made.update({sequence_hash: penstock.hash_diff(
        state.sequence, penstock.column_types(state.sequence, arrived)
      )}) -%}
    {%- endif -%}
  {%- endif -%}
  {{ penstock.takes_in(window) }}

with arrived as (
  {{ arrived }}
),

hashed as (
  select
    {%- for name, expression in made.items() %}
    {{ expression }} as {{ name }},
    {%- endfor %}
    _pen_load_date as {{ load_date }},
    _pen_record_source as {{ record_source }},
    _pen_load,
    _pen_seq
  from arrived
  where {{ where }}
    {%- if state %}
    and {{ state.applied }} is not null
    {%- endif %}
),

{#- Of the records that say the same, the one that was landed first gives the load date and the record source. #}
ranked as (
  select *, row_number() over (
    partition by {{ unique | join(', ') }} order by _pen_seq, {{ record_source }}
  ) as _pen_place
  from hashed
),

firsts as (
  select {{ made.keys() | join(', ') }}, {{ load_date }}, {{ record_source }}, _pen_load
  from ranked
  where _pen_place = 1
)

select *, cast('{{ rule }}' as {{ penstock.text_type() }}) as {{ hash_rule }}
from firsts
{%- if not is_incremental() %}
union all
select
  {%- for name in made %}
  {% if name in hashes or name in [hash_diff, sequence_hash] -%} ghosts.ghost
  {%- elif name in [applied_at, penstock.vault_name('starts_at')] -%} coalesce(nothing.{{ name }}, {{ penstock.ghost_date() }})
  {%- elif name == is_deleted -%} false
  {%- else -%} nothing.{{ name }}
  {%- endif %} as {{ name }},
  {%- endfor %}
  coalesce(nothing.{{ load_date }}, {{ penstock.ghost_date() }}),
  'ghost',
  nothing._pen_load,
  cast('{{ rule }}' as {{ penstock.text_type() }})
from (
  select {{ penstock.unknown_hash() }} as ghost
  union all
  select {{ penstock.required_hash() }}
) as ghosts
left join (select * from firsts where false) as nothing on true
{%- endif %}
{%- endmacro %}


{#- How a table of the vault is kept; `told` says what an engine may need to know of it besides. -#}
{% macro vault_config(strategy, unique, indexed, told) -%}
  {{- adapter.dispatch('vault_config', 'penstock')(strategy, unique, indexed, told) -}}
{%- endmacro %}

{% macro default__vault_config(strategy, unique, indexed, told) -%}
  {{- config(
    materialized='incremental', incremental_strategy=strategy, unique_key=unique,
    indexes=penstock.indexes(unique, indexed)
  ) -}}
{%- endmacro %}


{#- The loads, each with its number in the order of commits. -#}
{% macro numbered_loads() -%}
  {{- return(adapter.dispatch('numbered_loads', 'penstock')()) -}}
{%- endmacro %}

{% macro default__numbered_loads() -%}{{- return(penstock.ledger('loads')) -}}{%- endmacro %}


{% macro vault_arrived(sources, names, delete_when, window) -%}
  {%- set several = [sources] if sources is mapping else sources -%}
  {%- for source in several %}
  {%- set columns = source.get('columns', {}) %}
  {{ 'union all' if not loop.first }}
  select
    {%- for name in names %}
    {{ columns.get(name, name) }} as {{ name }},
    {%- endfor %}
    {%- if delete_when is not none %}
    coalesce({{ source.get('delete_when', delete_when) }}, false) as _pen_deleted,
    {%- endif %}
    {{ source.get('load_date', '_pen_loaded_at') }} as _pen_load_date,
    cast({{ source.get('record_source', "'" ~ source.stream ~ "'") }} as {{ penstock.text_type() }}) as _pen_record_source,
    _pen_load,
    _pen_seq
  from {{ source.relation }}
  inner join (
    select load_id as _pen_ledger_load, seq as _pen_seq from {{ penstock.numbered_loads() }}
  ) as loads on loads._pen_ledger_load = _pen_load
  where {{ penstock.landed_in(source.stream, window) }}
  {%- endfor %}
{%- endmacro %}


{% macro same_rule(key, column, rule, window) -%}
  {%- if execute and is_incremental() and window.upto > window.after -%}{%- do penstock.expect_rule(key, column, rule) -%}{%- endif -%}
{%- endmacro %}


{#- Refuse a table whose keys another rule has hashed. -#}
{% macro expect_rule(key, column, rule) -%}
  {%- set found = run_query(
    'select ' ~ column ~ ' from ' ~ this ~ ' where ' ~ key ~ ' = ' ~ penstock.unknown_hash()
  ).rows -%}
  {%- if not found or found[0][0] != rule -%}
    {%- do exceptions.raise_compiler_error(
      this ~ ' was hashed by rule "' ~ (found[0][0] if found else 'unknown') ~ '", and the model now says "' ~ rule
      ~ '": its keys would not meet those that are there. Rebuild the vault, with every table that shares'
      ~ ' the key: penstock transform --full-refresh'
    ) -%}
  {%- endif -%}
{%- endmacro %}
