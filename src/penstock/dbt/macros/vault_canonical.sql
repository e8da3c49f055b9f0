{#- One text for a value, whichever engine holds it: what hash diffs are made of. -#}

{% macro column_types(columns, query) -%}
  {{- return(adapter.dispatch('column_types', 'penstock')(columns, query)) -}}
{%- endmacro %}

{% macro default__column_types(columns, query) -%}
  {%- if not execute or not columns -%}{{- return({}) -}}{%- endif -%}
  {%- set function = 'pg_typeof' if target.type == 'postgres' else 'typeof' -%}
  {%- set asked -%}
    select {% for column in columns %}cast({{ function }}(rows.{{ column }}) as text){{ ', ' if not loop.last }}{% endfor %}
    from (select 1 as one) as one_row
    left join (select * from ({{ query }}) as typed where false) as rows on true
  {%- endset -%}
  {%- set found = run_query(asked).rows[0] -%}
  {%- set types = {} -%}
  {%- for column in columns -%}{%- do types.update({column: found[loop.index0] | lower}) -%}{%- endfor -%}
  {{- return(types) -}}
{%- endmacro %}


{% macro canonical(expression, type='text') -%}
  {%- set bare = type.split('(')[0] | trim -%}
  {%- if bare in [
    'text', 'varchar', 'character varying', 'character', 'char', 'bpchar', 'uuid', 'boolean', 'tinyint', 'smallint',
    'integer', 'bigint', 'hugeint', 'utinyint', 'usmallint', 'uinteger', 'ubigint', 'uhugeint', 'time',
    'time without time zone', '"null"', 'unknown'
  ] -%}
    cast({{ expression }} as {{ penstock.text_type() }})
  {%- elif bare in ['decimal', 'numeric'] -%}
    {{ adapter.dispatch('canonical_number', 'penstock')(expression) }}
  {%- elif bare in ['double', 'float', 'real', 'double precision'] -%}
    {{ adapter.dispatch('canonical_float', 'penstock')('cast(' ~ expression ~ ' as double precision)') }}
  {%- elif bare in ['date'] -%}
    {{ adapter.dispatch('canonical_time', 'penstock')(expression) }}
  {%- elif bare in [
    'timestamp', 'timestamp without time zone', 'timestamp_s', 'timestamp_ms', 'timestamp_us', 'timestamp with time zone'
  ] -%}
    {%- if type.endswith('with time zone') -%}
      {{ adapter.dispatch('canonical_time', 'penstock')(penstock.in_utc(expression)) }} || 'Z'
    {%- else -%}
      {{ adapter.dispatch('canonical_time', 'penstock')(expression) }}
    {%- endif -%}
  {%- elif bare in ['bytea', 'blob'] -%}
    {{ "encode(" ~ expression ~ ", 'hex')" if target.type == 'postgres' else 'lower(hex(' ~ expression ~ '))' }}
  {%- elif bare in ['json', 'jsonb'] -%}
    {{ adapter.dispatch('canonical_json', 'penstock')(expression) }}
  {%- else -%}
    {%- do exceptions.raise_compiler_error(
      'hash diff: ' ~ expression ~ ' is of type ' ~ type ~ ', which has no text that is the same on every engine: '
      ~ 'cast it to text, a number, a time or json in the model that the vault reads'
    ) -%}
  {%- endif -%}
{%- endmacro %}


{% macro canonical_number(expression) -%}
  {{- return(adapter.dispatch('canonical_number', 'penstock')(expression)) -}}
{%- endmacro %}

{#- Digits without an exponent, without zeros at the end, zero without a sign. -#}
{% macro default__canonical_number(expression) -%}
  {{ penstock.plain_digits('cast(' ~ expression ~ ' as text)') }}
{%- endmacro %}

{% macro postgres__canonical_number(expression) -%}
  cast(trim_scale({{ expression }}) as text)
{%- endmacro %}


{% macro canonical_float(expression) -%}
  {{- return(adapter.dispatch('canonical_float', 'penstock')(expression)) -}}
{%- endmacro %}

{#- The shortest digits that give the number back; from 2^53 on every digit of the integer that it is, because there the
    engines differ in what is shortest. -#}
{% macro default__canonical_float(expression) -%}
  case
    when isfinite({{ expression }}) and abs({{ expression }}) >= 9007199254740992 then cast(cast({{ expression }} as bignum) as text)
    else {{ penstock.plain_digits('cast(' ~ expression ~ ' as text)') }}
  end
{%- endmacro %}

{% macro postgres__canonical_float(expression) -%}
  {%- set power = 'cast(greatest(floor(ln(abs(' ~ expression ~ ')) / ln(cast(2 as double precision))) - 60, 0) as integer)' -%}
  case
    when cast({{ expression }} as text) in ('NaN', 'Infinity', '-Infinity') then cast({{ expression }} as text)
    when abs({{ expression }}) >= 9007199254740992 then cast(trim_scale(
      {#- Divided by a power of two, which loses nothing, and multiplied again as numeric. #}
      cast(cast({{ expression }} / power(cast(2 as double precision), {{ power }}) as bigint) as numeric)
      * power(cast(2 as numeric), {{ power }})
    ) as text)
    {#- By way of its text: a cast from double precision to numeric keeps but fifteen digits. #}
    else cast(trim_scale(cast(cast({{ expression }} as text) as numeric)) as text)
  end
{%- endmacro %}


{#- A lambda's name must be no column's, which would win. -#}
{% macro plain_digits(text) -%}
  list_transform([{{ text }}], lambda _pen_t:
    case
      when _pen_t is null then null
      when lower(_pen_t) in ('nan', 'inf', '-inf') then
        case lower(_pen_t) when 'nan' then 'NaN' when 'inf' then 'Infinity' else '-Infinity' end
      when regexp_full_match(_pen_t, '-?[0-9]+') then case when _pen_t = '-0' then '0' else _pen_t end
      else list_transform([regexp_extract(_pen_t, '^(-?)([0-9]+)(?:[.]([0-9]*))?(?:[eE]([-+]?[0-9]+))?$',
          ['minus', 'whole', 'part', 'power'])], lambda _pen_n:
        list_transform([struct_pack(
          digits := _pen_n.whole || _pen_n.part,
          point := length(_pen_n.whole) + cast(coalesce(nullif(_pen_n.power, ''), '0') as integer)
        )], lambda _pen_m:
          list_transform([
            case when _pen_m.point <= 0 then '0.' || repeat('0', -_pen_m.point) || _pen_m.digits
              when _pen_m.point >= length(_pen_m.digits)
                then _pen_m.digits || repeat('0', _pen_m.point - length(_pen_m.digits))
              else left(_pen_m.digits, _pen_m.point) || '.' || substr(_pen_m.digits, _pen_m.point + 1)
            end
          ], lambda _pen_p:
            list_transform([
              case when contains(_pen_p, '.') then rtrim(rtrim(_pen_p, '0'), '.') else _pen_p end
            ], lambda _pen_s:
              list_transform([regexp_replace(_pen_s, '^0+([0-9])', '\1')], lambda _pen_z:
                case when _pen_z = '0' then _pen_z else _pen_n.minus || _pen_z end
              )[1]
            )[1]
          )[1]
        )[1]
      )[1]
    end
  )[1]
{%- endmacro %}


{% macro canonical_time(expression) -%}
  {{- return(adapter.dispatch('canonical_time', 'penstock')(expression)) -}}
{%- endmacro %}

{#- 2024-02-29T01:02:03.5, with BC after it where it belongs. -#}
{% macro default__canonical_time(expression) -%}
  {#- The engine writes "0044-03-15 (BC) 01:02:03". #}
  replace(replace(cast({{ expression }} as text), ' (BC)', ''), ' ', 'T')
    || case when contains(cast({{ expression }} as text), '(BC)') then ' BC' else '' end
{%- endmacro %}

{#- As JSON it does not depend on DateStyle. -#}
{% macro postgres__canonical_time(expression) -%}
  (to_json({{ expression }}) #>> '{}')
{%- endmacro %}


{% macro canonical_json(expression) -%}
  {{- return(adapter.dispatch('canonical_json', 'penstock')(expression)) -}}
{%- endmacro %}

{#- The leaves with their paths, in the order of these: neither the order of keys nor blanks matter. -#}
{% macro default__canonical_json(expression) -%}
  case when {{ expression }} is not null then (
    with recursive walk(path, value) as (
      select '', cast({{ penstock.marked_numbers('cast(' ~ expression ~ ' as text)') }} as json)
      union all
      select
        walk.path || case json_type(walk.value)
          when 'ARRAY' then '[' || each.key || ']' else '.' || {{ penstock.quoted('each.key') }}
        end,
        each.value
      from walk, json_each(walk.value) as each
      where json_type(walk.value) in ('OBJECT', 'ARRAY')
    )

    select string_agg(path || '=' || leaf, ',' order by path)
    from (
      select path,
        case json_type(value)
          when 'VARCHAR' then case
            when starts_with(value ->> '$', chr(0)) then {{ penstock.plain_digits("substr(value ->> '$', 2)") }}
            else {{ penstock.quoted("(value ->> '$')") }}
          end
          when 'NULL' then 'null'
          when 'BOOLEAN' then cast(value as text)
          when 'OBJECT' then case when cast(value as text) = '{}' then '{}' end
          when 'ARRAY' then case when json_array_length(value) = 0 then '[]' end
          else {{ penstock.plain_digits('cast(value as text)') }}
        end as leaf
      from walk
    ) as leaves
    where leaf is not null
  ) end
{%- endmacro %}

{#- DuckDB's JSON functions round numbers to doubles: where that could cut one, all are made texts that begin with NUL,
    as no text that lands does. -#}
{% macro marked_numbers(text) -%}
  case when regexp_matches({{ text }}, '[0-9.]{17}') then array_to_string(list_transform(
    regexp_extract_all({{ text }}, '"(?:[^"\\]|\\.)*"|[^"]+'),
    lambda _pen_x: case when starts_with(_pen_x, '"') then _pen_x
      else regexp_replace(_pen_x, '(-?[0-9][0-9.eE+-]*)', '"\\u0000\1"', 'g') end
  ), '') else {{ text }} end
{%- endmacro %}

{% macro postgres__canonical_json(expression) -%}
  case when {{ expression }} is not null then (
    with recursive walk(path, value) as (
      select '', cast({{ expression }} as jsonb)
      union all
      select walk.path || each.step, each.value
      from walk
      cross join lateral (
        select '.' || {{ penstock.quoted('key') }} as step, value
        from jsonb_each(case when jsonb_typeof(walk.value) = 'object' then walk.value end)
        union all
        select '[' || (place - 1) || ']', value
        from jsonb_array_elements(case when jsonb_typeof(walk.value) = 'array' then walk.value end)
          with ordinality as elements(value, place)
      ) as each
    )

    select string_agg(path || '=' || leaf, ',' order by path collate "C")
    from (
      select path,
        case jsonb_typeof(value)
          when 'string' then {{ penstock.quoted("(value #>> '{}')") }}
          when 'null' then 'null'
          when 'boolean' then cast(value as text)
          when 'object' then case when value = '{}' then '{}' end
          when 'array' then case when value = '[]' then '[]' end
          else cast(trim_scale(cast(cast(value as text) as numeric)) as text)
        end as leaf
      from walk
    ) as leaves
    where leaf is not null
  ) end
{%- endmacro %}
