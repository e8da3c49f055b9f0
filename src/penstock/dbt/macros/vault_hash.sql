{#- How the vault hashes. The text that is hashed is written like a line of CSV with every value quoted: nothing can run
    into its neighbour, and a missing value (nothing) is not an empty one (two quotes). It begins with the rule's
    version, so no two rules share a hash. Keys are the first 128 bits of its SHA-256, kept as a uuid: sixteen bytes on
    every engine, where the digest as text takes sixty-four. -#}

{% macro hash_rule() -%}v1{%- endmacro %}


{% macro digest(text) -%}
  {{- return(adapter.dispatch('digest', 'penstock')(text)) -}}
{%- endmacro %}

{% macro default__digest(text) -%}
  cast(left(sha256({{ text }}), 32) as uuid)
{%- endmacro %}

{% macro postgres__digest(text) -%}
  cast(left(encode(sha256(convert_to({{ text }}, 'UTF8')), 'hex'), 32) as uuid)
{%- endmacro %}


{% macro unknown_hash() -%}
  {{ penstock.unknown_key() }}
{%- endmacro %}


{% macro required_hash() -%}
  {{ penstock.unknown_key() | replace('0', 'f') }}
{%- endmacro %}


{% macro quoted(text) -%}
  '"' || replace({{ text }}, '"', '""') || '"'
{%- endmacro %}


{% macro hash_business_key(parts, normalize=none, missing='unknown') -%}
  {%- if missing not in ['unknown', 'required'] -%}
    {%- do exceptions.raise_compiler_error("hash_business_key: missing is 'unknown' or 'required', not '" ~ missing ~ "'") -%}
  {%- endif -%}
  {%- set columns = [parts] if parts is string else parts -%}
  {%- set texts = [] -%}
  {%- for part in columns -%}{%- do texts.append(penstock.key_text(part, normalize)) -%}{%- endfor -%}
  case
    when {% for text in texts %}{{ ' and ' if not loop.first }}{{ text }} is null{% endfor %} then {{ penstock.required_hash() if missing == 'required' else penstock.unknown_hash() }}
    else {% set line -%}
      '{{ penstock.hash_rule() }}'
      {%- for text in texts %} || ',' || coalesce({{ penstock.quoted(text) }}, ''){% endfor %}
    {%- endset -%}
    {{ penstock.digest(line) }}
  end
{%- endmacro %}


{% macro normalization(column, normalize=none) -%}
  {#- The steps for one column: by its name where `normalize` is a dictionary, else those for all. -#}
  {%- set chosen = var('penstock_vault', {}).get('normalize', []) if normalize is none else normalize -%}
  {%- set steps = chosen.get(column, []) if chosen is mapping else chosen -%}
  {%- for step in steps if step not in ['trim', 'upper', 'empty'] -%}
    {%- do exceptions.raise_compiler_error("normalize knows 'trim', 'upper' and 'empty', not '" ~ step ~ "'") -%}
  {%- endfor -%}
  {{- return(['trim', 'upper', 'empty'] | select('in', steps) | list) -}}
{%- endmacro %}


{% macro key_text(part, normalize=none) -%}
  {%- set steps = penstock.normalization(part, normalize) -%}
  {%- set text = 'cast(' ~ part ~ ' as ' ~ penstock.text_type() ~ ')' -%}
  {#- Not the engines' own trim and upper: they disagree beyond ASCII, and one engine disagrees with itself by locale. -#}
  {%- if 'trim' in steps -%}{%- set text = penstock.stripped(text, ' \t\n\r') -%}{%- endif -%}
  {%- if 'upper' in steps -%}
    {%- set text = "translate(" ~ text ~ ", 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ')" -%}
  {%- endif -%}
  {%- if 'empty' in steps -%}{%- set text = "nullif(" ~ text ~ ", '')" -%}{%- endif -%}
  {{- return(text) -}}
{%- endmacro %}


{% macro hash_diff(columns, types={}) -%}
  {%- set line -%}
    '{{ penstock.hash_rule() }}'
    {%- for column in columns | sort %}
    || coalesce(',"{{ column | replace('"', '""') | replace("'", "''") }}"=' || {{ penstock.quoted(penstock.canonical(column, types.get(column, 'text'))) }}, '')
    {%- endfor %}
  {%- endset -%}
  {{ penstock.digest(line) }}
{%- endmacro %}
