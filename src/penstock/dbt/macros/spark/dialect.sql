{#- What Spark SQL writes otherwise. Keys are texts of 36 characters, as the other engines show a uuid. -#}

{% macro spark__text_type() -%}{{- return('string') -}}{%- endmacro %}


{% macro spark__uuid_of(digits) -%}
  {{- return('regexp_replace(' ~ digits ~ ", '^(.{8})(.{4})(.{4})(.{4})(.{12})', '$1-$2-$3-$4-$5')") -}}
{%- endmacro %}


{% macro spark__unknown_key() -%}{{- return("'00000000-0000-0000-0000-000000000000'") -}}{%- endmacro %}


{% macro spark__stripped(expression, characters) -%}
  {{- return('btrim(' ~ expression ~ ", '" ~ characters ~ "')") -}}
{%- endmacro %}


{% macro spark__iso_day_of_week(date) -%}{{- return('extract(dow_iso from ' ~ date ~ ')') -}}{%- endmacro %}


{% macro spark__days(first, last) -%}
  explode(sequence(cast({{ first }} as date), cast({{ last }} as date), interval 1 day))
{%- endmacro %}


{% macro spark__months(first, last) -%}
  explode(sequence(cast(date_trunc('month', {{ first }}) as date), cast({{ last }} as date), interval 1 month))
{%- endmacro %}


{#- A session's zone is UTC. -#}
{% macro spark__in_utc(expression) -%}{{- return('cast(' ~ expression ~ ' as timestamp_ntz)') -}}{%- endmacro %}


{% macro spark__instant_column(column) -%}
  {%- set type = column.dtype | lower -%}
  {%- if type in ['timestamp', 'timestamp_ntz', 'date'] -%}
    {{- return('cast(' ~ adapter.quote(column.name) ~ ' as timestamp_ntz)') -}}
  {%- elif type == 'string' -%}
    {{- return(penstock.instant_of(adapter.quote(column.name))) -}}
  {%- endif -%}
  {{- return('') -}}
{%- endmacro %}


{% macro spark__rescued(field) -%}
  {%- if modules.re.search("['?]", field) -%}
    {%- do exceptions.raise_compiler_error('Spark finds no member of a JSON object by a name with a quote or a question'
      ~ ' mark: ' ~ field) -%}
  {%- endif -%}
  {{- return("get_json_object(_pen_rescued, '$[\\'" ~ field ~ "\\']')") -}}
{%- endmacro %}


{#- Spark reads no time without seconds that has a zone, no hour of 24, and a line's end is an end to its `$`. -#}
{% macro spark__instant_of(text, shape, zoned) -%}
  {%- set steps = [
    ['^(.{16})(?!:)', '$1:00'],
    ['([.][0-9]{6})[0-9]+', '$1'],
    ['^(.{11})24:', '$100:'],
    ['(:.*) ', '$1'],
    ['(:.*[+-][0-9]{2})([0-9]{2})$', '$1:$2'],
  ] -%}
  {%- set whole = namespace(sql=text) -%}
  {%- for step in steps -%}
    {%- set whole.sql = 'regexp_replace(' ~ whole.sql ~ ", '" ~ step[0] ~ "', '" ~ step[1] ~ "')" -%}
  {%- endfor -%}
  {{- return('case when ' ~ text ~ " rlike '" ~ shape[:-1] ~ "\\\\z' and not startswith(" ~ text
      ~ ", '0000') then cast(try_cast(" ~ whole.sql ~ ' as timestamp_ltz) as timestamp_ntz) + case when ' ~ text
      ~ " rlike '^.{11}24:' then interval 1 day else interval 0 day end end") -}}
{%- endmacro %}
