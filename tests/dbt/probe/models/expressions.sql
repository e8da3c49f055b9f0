{{ config(materialized='table') }}
{#- Surrogate keys of values that are apt to collide. -#}
select 'a' as label, {{ penstock.hash_key(["'ab'", "'c'"]) }} as key
union all select 'b', {{ penstock.hash_key(["'a'", "'bc'"]) }}
union all select 'c', {{ penstock.hash_key(["'abc'", "''"]) }}
union all select 'd', {{ penstock.hash_key(["'abc'", 'cast(null as text)']) }}
union all select 'e', {{ penstock.hash_key(["'abc'"]) }}
union all select 'f', {{ penstock.hash_key(["'-'", "'-'"]) }}
union all select 'g', {{ penstock.hash_key(['cast(null as text)', 'cast(null as text)']) }}
union all select 'h', {{ penstock.hash_key(["'1:a'", "'b'"]) }}
union all select 'i', {{ penstock.hash_key(["'é😀'", 'cast(12 as bigint)', "timestamp '2024-02-29 01:02:03.5'", "date '2024-02-29'", 'true']) }}
union all select 'j', {{ penstock.hash_key(["timestamp '2024-02-29 00:00:00'", "timestamp '2024-02-29 01:02:03.000001'"]) }}
