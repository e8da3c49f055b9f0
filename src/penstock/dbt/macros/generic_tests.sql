{% test non_overlapping(model, key, valid_from='valid_from', valid_to='valid_to') %}
{#- Versions of a key neither overlap, nor last no time, nor follow an open one. -#}
select *
from (
  select {{ key }}, {{ valid_from }}, {{ valid_to }},
    lead({{ valid_from }}) over (partition by {{ key }} order by {{ valid_from }}) as next_from
  from {{ model }}
) as versions
where {{ valid_to }} <= {{ valid_from }}
  or {{ valid_to }} > next_from
  or ({{ valid_to }} is null and next_from is not null)
{% endtest %}


{% test unique_together(model, columns) %}
{#- No two rows have the same values in all of these columns. -#}
select {{ columns | join(', ') }}
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
