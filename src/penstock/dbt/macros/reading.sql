{#- Raw values read the same way on every engine: blanks, letters, instants. -#}

{% macro trimmed(expression) -%}
  nullif({{ penstock.stripped(expression, penstock.blanks()) }}, '')
{%- endmacro %}

{#- Without those of the characters that it begins or ends with. -#}
{% macro stripped(expression, characters) -%}
  {{- return(adapter.dispatch('stripped', 'penstock')(expression, characters)) -}}
{%- endmacro %}

{% macro default__stripped(expression, characters) -%}
  {{- return('trim(' ~ expression ~ ", '" ~ characters ~ "')") -}}
{%- endmacro %}

{#- What Unicode calls white space. The engines' own trim takes the space alone, or other sets. -#}
{% macro blanks() -%}
  {{- return(
    "\t\n\u000b\u000c\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    ~ "\u2028\u2029\u202f\u205f\u3000"
  ) -}}
{%- endmacro %}


{% macro lowered(expression) -%}
  translate({{ expression }}, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
{%- endmacro %}


{% macro uppered(expression) -%}
  translate({{ expression }}, 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ')
{%- endmacro %}


{% macro instant(relation, column, field=none) -%}
  {%- set values = [] -%}
  {%- for each in (adapter.get_columns_in_relation(relation) if execute else [])
      if each.name == column or each.name.startswith(column ~ '__') -%}
    {%- set value = penstock.instant_column(each) -%}
    {%- if value -%}{%- do values.append(value) -%}{%- endif -%}
  {%- endfor -%}
  {%- do values.append('case when _pen_rescued is not null then '
      ~ penstock.instant_of(penstock.rescued(field or column)) ~ ' end') -%}
  coalesce({{ values | join(', ') }}, null)
{%- endmacro %}


{% macro in_utc(expression) -%}
  {{- return(adapter.dispatch('in_utc', 'penstock')(expression)) -}}
{%- endmacro %}

{% macro default__in_utc(expression) -%}{{- return('(' ~ expression ~ " at time zone 'UTC')") -}}{%- endmacro %}


{#- The instant that a raw column holds, or '' when its type has none. -#}
{% macro instant_column(column) -%}
  {{- return(adapter.dispatch('instant_column', 'penstock')(column)) -}}
{%- endmacro %}

{% macro default__instant_column(column) -%}
  {%- set type = column.dtype | lower -%}
  {%- if type.endswith('with time zone') or type == 'timestamptz' -%}
    {{- return(penstock.in_utc(adapter.quote(column.name))) -}}
  {%- elif type.startswith('timestamp') or type == 'date' -%}
    {{- return('cast(' ~ adapter.quote(column.name) ~ ' as timestamp)') -}}
  {%- elif type in ['text', 'varchar', 'character varying'] -%}
    {{- return(penstock.instant_of(adapter.quote(column.name))) -}}
  {%- endif -%}
  {{- return('') -}}
{%- endmacro %}


{% macro rescued(field) -%}
  {{- return(adapter.dispatch('rescued', 'penstock')(field | replace("'", "''"))) -}}
{%- endmacro %}

{% macro default__rescued(field) -%}
  {{- return("json_extract_string(_pen_rescued, '/" ~ (field | replace('~', '~0') | replace('/', '~1')) ~ "')") -}}
{%- endmacro %}

{% macro postgres__rescued(field) -%}
  {{- return("(_pen_rescued ->> '" ~ field ~ "')") -}}
{%- endmacro %}


{#- The digits behind the microseconds are cut off, where an engine of its own would round. -#}
{% macro instant_of(text) -%}
  {%- set zone = '(Z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)' -%}
  {%- set time = '(([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]+)?)?|24:00(:00([.]0+)?)?)' -%}
  {%- set shape = '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]' ~ time ~ '( ?' ~ zone ~ ')?)?$' -%}
  {{- return(adapter.dispatch('instant_of', 'penstock')(text, shape, ':.*' ~ zone ~ '$')) -}}
{%- endmacro %}

{#- The engine reads no zone behind a blank, nor one of four digits without a colon. -#}
{% macro default__instant_of(text, shape, zoned) -%}
  {%- set whole = "regexp_replace(regexp_replace(regexp_replace(" ~ text ~ ", '([.][0-9]{6})[0-9]+', '\\1'), "
      ~ "'(:.*) ', '\\1'), '(:.*[+-][0-9]{2})([0-9]{2})$', '\\1:\\2')" -%}
  {%- set utc = "case when regexp_matches(" ~ text ~ ", '" ~ zoned ~ "') then '' when length(" ~ text
      ~ ") = 10 then ' 00:00Z' else 'Z' end" -%}
  {{- return("case when regexp_matches(" ~ text ~ ", '" ~ shape ~ "') and not starts_with(" ~ text
      ~ ", '0000') then try_cast(" ~ whole ~ " || " ~ utc ~ " as timestamp with time zone) at time zone 'UTC' end") -}}
{%- endmacro %}

{% macro postgres__instant_of(text, shape, zoned) -%}
  {%- set whole = "regexp_replace(" ~ text ~ ", '([.][0-9]{6})[0-9]+', '\\1')" -%}
  {%- set utc = "case when " ~ text ~ " ~ '" ~ zoned ~ "' then '' when length(" ~ text
      ~ ") = 10 then ' 00:00Z' else 'Z' end" -%}
  {%- set month = "make_date(cast(substr(" ~ text ~ ", 1, 4) as integer), cast(substr(" ~ text
      ~ ", 6, 2) as integer), 1)" -%}
  {#- A day that the month does not have would be an error. -#}
  {%- set last = "extract(day from " ~ month ~ " + interval '1 month' - interval '1 day')" -%}
  {{- return("case when " ~ text ~ " ~ '" ~ shape ~ "' and left(" ~ text ~ ", 4) <> '0000' then case when cast(substr("
      ~ text ~ ", 9, 2) as integer) <= " ~ last ~ " then cast(" ~ whole ~ " || " ~ utc
      ~ " as timestamp with time zone) at time zone 'UTC' end end") -}}
{%- endmacro %}
