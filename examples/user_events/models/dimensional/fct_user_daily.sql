{{ config(
  unique_key=['event_date'],
  indexes=penstock.indexes(['event_date']),
) }}
{% set window = penstock.window() %}
{{ penstock.takes_in(window) }}

{% set arrived, events = ref('stg_user_events'), ref('user_event') %}

{% if is_incremental() -%}
with landed as (
  {{ penstock.touched(
    arrived,
    {'durable_user_key': penstock.hash_key(['user_id']), 'received_at': 'received_at'},
    'user_events',
    window,
  ) }}
    and user_id is not null
    and received_at is not null
),

{#- A version opens or closes by an event and the state right before it: so a landed event changes what happened
    on its own date and on that of the same user's next event, and nowhere else. #}
touched as (
  select cast(received_at as date) as event_date from landed
  union
  select cast((
    select min(events.received_at)
    from {{ events }} as events
    where events.durable_user_key = landed.durable_user_key and events.received_at > landed.received_at
  ) as date) as event_date
  from landed
),
{%- else -%}
with touched as (
  select distinct event_date from {{ events }}
),
{%- endif %}

opened as (
  {{ penstock.only(ref('dim_user'), 'valid_from_date', 'touched', 'event_date') }}
),

closed as (
  {{ penstock.only(ref('dim_user'), 'valid_to_date', 'touched', 'event_date') }}
),

changes as (
  select
    valid_from_date as event_date,
    case when opened_by = 'created' then 1 else 0 end as created,
    case when opened_by = 'updated' then 1 else 0 end as updated,
    0 as deleted
  from opened
  union all
  select valid_to_date, 0, 0, 1
  from closed
  where closed_by = 'deleted'
),

counted as (
  select event_date, sum(created) as created, sum(updated) as updated, sum(deleted) as deleted
  from changes
  group by event_date
  {% if is_incremental() -%}
  union all
  select event_date, users_created, users_updated, users_deleted
  from {{ this }} as known
  where not exists (select 1 from touched where touched.event_date = known.event_date)
  {%- endif %}
),

spanned as (
  select min(event_date) as first_day, max(event_date) as last_day
  from touched
  having count(event_date) > 0
),

calendar as (
  select {{ penstock.days('least(first_day, known_first)', 'greatest(last_day, known_last)') }} as event_date
  from spanned
  cross join (
    {% if is_incremental() -%}
    select min(event_date) as known_first, max(event_date) as known_last from {{ this }}
    {%- else -%}
    select cast(null as date) as known_first, cast(null as date) as known_last
    {%- endif %}
  ) as known
),

daily as (
  select
    calendar.event_date,
    cast(coalesce(counted.created, 0) as bigint) as users_created,
    cast(coalesce(counted.updated, 0) as bigint) as users_updated,
    cast(coalesce(counted.deleted, 0) as bigint) as users_deleted,
    cast(sum(coalesce(counted.created, 0) - coalesce(counted.deleted, 0))
      over (order by calendar.event_date) as bigint) as users_at_end
  from calendar
  left join counted on counted.event_date = calendar.event_date
)

{{ penstock.scoped('daily', 'daily', 'event_date') }}
