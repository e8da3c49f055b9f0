{#- Slowly changing dimension, type 2, from events: a pure function of the set of events, whatever order they came in.

    1. Of the events at one instant the last one counts: by the further sequence columns, a deletion after the others,
       and then by content. Arrival never decides.
    2. An event whose state equals the state before it opens nothing.
    3. A version lasts from its event to the next change: [valid_from, valid_to).

    What a step needs besides is in comments: what the history is of, and the version before the events that are read
    anew, which takes the place of all events before those. -#}

{% macro history(relation, key, sequence, tracked, carried=[], carried_from='last', delete_when='false') -%}
  {%- set keys = [key] if key is string else key -%}
  {%- set order = [sequence] if sequence is string else sequence -%}
  {%- set at = order[0] -%}
  {%- if carried_from not in ['first', 'last'] -%}
    {%- do exceptions.raise_compiler_error("history: carried_from is 'first' or 'last', not '" ~ carried_from ~ "'") -%}
  {%- endif -%}
  {%- set follow = carried != [] and carried_from == 'last' -%}
  {%- set named = (keys + order + tracked + carried) | unique | list -%}
  {%- set kept = [] -%}
  {%- for column in named -%}
    {%- do kept.append(
      'valid_from' if column == at else ('null' if column in order and column not in keys + tracked + carried else column)
    ) -%}
  {%- endfor -%}
  /*_pen_history {{ tojson({'relation': relation | string, 'key': keys, 'at': at, 'follows': follow}, sort_keys=true) }}*/
  with _pen_events as (
    select
      {{ named | join(', ') }},
      case when not coalesce({{ delete_when }}, false) then {{ penstock.hash_key(tracked) }} end as _pen_state,
      {{ penstock.hash_key(tracked + carried) }} as _pen_content,
      cast(null as {{ 'varchar' if target.type == 'duckdb' else penstock.text_type() }}) as _pen_opened_by
    from {{ relation }}
    where {{ at }} is not null
    /*_pen_seed union all
    select {{ kept | join(', ') }}, {{ penstock.hash_key(tracked) }}, {{ penstock.hash_key(tracked + carried) }}, opened_by
    from _pen_seed _pen_seed*/
  ),

  _pen_ordered as (
    select *,
      lead({{ at }}) over (
        partition by {{ keys | join(', ') }}
        order by {{ at }}
          {%- for column in order[1:] %}, {{ column }} nulls first{% endfor %}, _pen_state is null, _pen_content
      ) as _pen_next_at
    from _pen_events
  ),

  _pen_settled as (
    select *, lag(_pen_state) over (partition by {{ keys | join(', ') }} order by {{ at }}) as _pen_before
    from _pen_ordered
    where _pen_next_at is null or _pen_next_at <> {{ at }}
  ),
  {%- if follow %}

  _pen_numbered as (
    select *,
      sum(case when _pen_state is distinct from _pen_before then 1 else 0 end)
        over (partition by {{ keys | join(', ') }} order by {{ at }}) as _pen_version
    from _pen_settled
  ),

  _pen_followed as (
    select {{ (keys + [at] + tracked) | unique | join(', ') }}, _pen_state, _pen_before, _pen_opened_by,
      {%- for column in carried %}
      first_value({{ column }}) over (
        partition by {{ keys | join(', ') }}, _pen_version order by {{ at }} desc
      ) as {{ column }}{{ ',' if not loop.last }}
      {%- endfor %}
    from _pen_numbered
  ),
  {%- endif %}

  _pen_changes as (
    select *,
      lead({{ at }}) over (partition by {{ keys | join(', ') }} order by {{ at }}) as _pen_until,
      lead(_pen_state) over (partition by {{ keys | join(', ') }} order by {{ at }}) as _pen_after
    from {{ '_pen_followed' if follow else '_pen_settled' }}
    where _pen_state is distinct from _pen_before
  )

  select
    {{ (keys + tracked + carried) | unique | join(', ') }},
    {{ at }} as valid_from,
    _pen_until as valid_to,
    _pen_until is null as is_current,
    coalesce(_pen_opened_by, case when _pen_before is null then 'created' else 'updated' end) as opened_by,
    case when _pen_after is not null then 'updated' when _pen_until is not null then 'deleted' end as closed_by
  from _pen_changes
  where _pen_state is not null
  /*_pen_history*/
{%- endmacro %}
