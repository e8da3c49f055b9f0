{#- What a vault says: versions, periods and points in time, from rows that are only ever added. -#}

{% macro satellite_versions(relation, key, columns, sequence=[]) -%}
  {%- set later = [sequence] if sequence is string else sequence -%}
  {%- set at, diff, deleted = penstock.vault_name('applied_at'), penstock.vault_name('hash_diff'), penstock.vault_name('is_deleted') -%}
  select
    {% for column in [key] + columns %}{{ column }}, {% endfor %}
    valid_from, valid_to, valid_to is null as is_current,
    {{ diff }},
    {% if later %}{{ penstock.vault_name('sequence_hash') }},{% endif %}
    {{ penstock.vault_name('load_date') }}, {{ penstock.vault_name('record_source') }}, _pen_load
  from (
    select *, {{ at }} as valid_from, lead({{ at }}) over (partition by {{ key }} order by {{ at }}) as valid_to
    from (
      select *, lag(_pen_state) over (partition by {{ key }} order by {{ at }}) as _pen_before
      from (
        {#- Of the states at one instant the last one counts: by the sequence, a deletion after the others, then by content. #}
        select *,
          case when not {{ deleted }} then {{ diff }} end as _pen_state,
          lead({{ at }}) over (
            partition by {{ key }}
            order by {{ at }}{% for column in later %}, {{ column }} nulls first{% endfor %}, {{ deleted }}, {{ diff }}
          ) as _pen_next_at
        from {{ relation }}
      ) as ordered
      where _pen_next_at is null or _pen_next_at <> {{ at }}
    ) as settled
    where _pen_state is distinct from _pen_before
  ) as changes
  where _pen_state is not null
{%- endmacro %}


{% macro effectivity_periods(relation, key, driving_key=[], ends=false) -%}
  {#- A relation lasts from its start to its end, or to the next start of its driving key, whichever comes first. -#}
  {%- set driving = ([driving_key] if driving_key is string else driving_key) or [key] -%}
  {%- set at, starts, ended = penstock.vault_name('applied_at'), penstock.vault_name('starts_at'), penstock.vault_name('ends_at') -%}
  {%- set diff, deleted = penstock.vault_name('hash_diff'), penstock.vault_name('is_deleted') -%}
  {%- set keys = ([key] + driving) | unique | join(', ') -%}
  {%- set by = driving | join(', ') -%}
  select {{ keys }}, valid_from, valid_to, valid_to is null as is_current
  from (
    select {{ keys }}, _pen_period, min({{ starts }}) as valid_from,
      case when count(*) = count(_pen_until) then max(_pen_until) end as valid_to
    from (
      select *, sum(case when {{ key }} = _pen_key_before and {{ starts }} = _pen_until_before then 0 else 1 end)
        over (partition by {{ by }} order by {{ starts }}) as _pen_period
      from (
        select *,
          lag({{ key }}) over (partition by {{ by }} order by {{ starts }}) as _pen_key_before,
          lag(_pen_until) over (partition by {{ by }} order by {{ starts }}) as _pen_until_before
        from (
          select *,
            {% if ends -%} least({{ ended }}, _pen_next_start) {%- else -%} _pen_next_start {%- endif %} as _pen_until
          from (
            select *, lead({{ starts }}) over (partition by {{ by }} order by {{ starts }}) as _pen_next_start
            from (
              {#- What was said last about a start counts; at one instant a deletion, then content, decides. #}
              select *, row_number() over (
                partition by {{ by }}, {{ starts }} order by {{ at }} desc, {{ deleted }} desc, {{ key }} desc, {{ diff }} desc
              ) as _pen_place
              from {{ relation }}
            ) as said
            where _pen_place = 1
          ) as following
        ) as bounded
        where not {{ deleted }} {% if ends %}and (_pen_until is null or _pen_until > {{ starts }}){% endif %}
      ) as chained
    ) as numbered
    group by {{ keys }}, _pen_period
  ) as periods
{%- endmacro %}


{% macro pit(hub, key, satellites, snapshots, snapshot='snapshot_at') -%}
  {%- set at, diff = penstock.vault_name('applied_at'), penstock.vault_name('hash_diff') -%}
  {%- set tie = penstock.vault_name('sequence_hash') -%}
  {%- set pointers = {} -%}
  {%- for name, satellite in satellites.items() -%}
    {%- set found, unknown = name ~ '_versions.', ', ' ~ penstock.unknown_hash() ~ ')' -%}
    {%- do pointers.update({
      name ~ '_hk': 'coalesce(' ~ found ~ satellite.get('key', key) ~ unknown,
      name ~ '_' ~ at: 'coalesce(' ~ found ~ 'valid_from, ' ~ penstock.ghost_date() ~ ')',
      name ~ '_' ~ diff: 'coalesce(' ~ found ~ diff ~ unknown,
    }) -%}
    {%- if satellite.get('sequence') -%}
      {%- do pointers.update({name ~ '_' ~ tie: 'coalesce(' ~ found ~ tie ~ unknown}) -%}
    {%- endif -%}
  {%- endfor -%}
  {{- penstock.vault_config('replacing', [key, snapshot], [[snapshot]], {
    'key': key, 'hub': hub, 'satellites': satellites, 'snapshots': snapshots, 'snapshot': snapshot,
  }) -}}
  {%- set window = penstock.window() -%}
  {{ penstock.takes_in(window) }}

with snapshots as (
  select distinct {{ snapshot }} from {{ snapshots }} where {{ snapshot }} is not null
),

{% if is_incremental() -%}
{#- The row of the unknown key says which instants this table holds. #}
held as (
  select {{ snapshot }} from {{ this }} where {{ key }} = {{ penstock.unknown_hash() }}
),

new_snapshots as (
  select {{ snapshot }} from snapshots where {{ snapshot }} not in (select {{ snapshot }} from held)
),

touched as (
  select {{ key }} from {{ hub }} where {{ penstock.landed_in(none, window) }}
  {%- for satellite in satellites.values() %}
  union
  select {{ satellite.get('key', key) }} from {{ satellite.relation }} where {{ penstock.landed_in(none, window) }}
  {%- endfor %}
  {#- An instant that is asked for no more goes from the rows of every key. #}
  union
  select {{ key }} from {{ hub }}
  where exists (select 1 from held where {{ snapshot }} not in (select {{ snapshot }} from snapshots))
),

asked as (
  select hub.{{ key }}, snapshots.{{ snapshot }}, hub.{{ key }} as _pen_scope
  from {{ hub }} as hub
  cross join snapshots
  where hub.{{ key }} in (select {{ key }} from touched)
  union all
  {#- Without a scope: only added. #}
  select hub.{{ key }}, new_snapshots.{{ snapshot }}, null as _pen_scope
  from {{ hub }} as hub
  cross join new_snapshots
  where not exists (select 1 from touched where touched.{{ key }} = hub.{{ key }})
),
{%- else -%}
asked as (
  select hub.{{ key }}, snapshots.{{ snapshot }}
  from {{ hub }} as hub
  cross join snapshots
),
{%- endif %}
{%- for name, satellite in satellites.items() %}
{%- set sequence = [satellite.sequence] if satellite.get('sequence') is string else satellite.get('sequence', []) %}

{{ name }}_rows as (
  {{ penstock.only(satellite.relation, satellite.get('key', key), 'touched', key) }}
  {%- if is_incremental() %}
  {#- Apart, not by `or`: so the other keys are not even read when there is no new instant. #}
  union all
  select * from {{ satellite.relation }} as others
  where exists (select 1 from new_snapshots)
    and not exists (select 1 from touched where touched.{{ key }} = others.{{ satellite.get('key', key) }})
  {%- endif %}
),

{{ name }}_versions as (
  {{ penstock.satellite_versions(name ~ '_rows', satellite.get('key', key), [], sequence) }}
)
{{- ',' }}
{%- endfor %}

pointed as (
  select
    {% if is_incremental() %}asked._pen_scope,{% endif %}
    asked.{{ key }},
    asked.{{ snapshot }}
    {%- for pointer, expression in pointers.items() %},
    {{ expression }} as {{ pointer }}
    {%- endfor %}
  from asked
  {%- for name, satellite in satellites.items() %}
  left join {{ name }}_versions
    on {{ name }}_versions.{{ satellite.get('key', key) }} = asked.{{ key }}
    and {{ name }}_versions.valid_from <= asked.{{ snapshot }}
    and ({{ name }}_versions.valid_to > asked.{{ snapshot }} or {{ name }}_versions.valid_to is null)
  {%- endfor %}
)

select * from pointed
{%- if is_incremental() %}
union all
select touched.{{ key }}, gone.{{ key }}, gone.{{ snapshot }}
  {%- for pointer in pointers %}, gone.{{ pointer }}{% endfor %}
from touched
left join (select * from pointed where false) as gone on true
{%- endif %}
{%- endmacro %}
