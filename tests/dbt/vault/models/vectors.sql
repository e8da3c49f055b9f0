{{ config(materialized='table') }}
{#- The published vectors: business keys, then states. -#}
select 'one' as label, {{ penstock.hash_business_key("'42'") }} as hash
union all select 'number', {{ penstock.hash_business_key('42') }}
union all select 'two', {{ penstock.hash_business_key(["'a||b'", "'c'"]) }}
union all select 'moved', {{ penstock.hash_business_key(["'a'", "'b||c'"]) }}
union all select 'quotes', {{ penstock.hash_business_key(["'a\",\"b'", "'c'"]) }}
union all select 'quotes moved', {{ penstock.hash_business_key(["'a'", "'b\",\"c'"]) }}
union all select 'empty', {{ penstock.hash_business_key("''") }}
union all select 'missing', {{ penstock.hash_business_key('cast(null as text)') }}
union all select 'required', {{ penstock.hash_business_key('cast(null as text)', missing='required') }}
union all select 'half', {{ penstock.hash_business_key(["'a'", 'cast(null as text)']) }}
union all select 'half empty', {{ penstock.hash_business_key(["'a'", "''"]) }}
union all select 'normalized', {{ penstock.hash_business_key("' ab é '", normalize=['trim', 'upper']) }}
union all select 'emptied', {{ penstock.hash_business_key("'  '", normalize=['trim', 'empty']) }}
union all select 'wide', {{ penstock.hash_business_key("'é😀'") }}
union all
select 'state', {{ penstock.hash_diff(['name', 'city', 'note']) }}
from (select 'Ann' as name, 'Oslo' as city, cast(null as text) as note) as state
union all
select 'blanks', {{ penstock.hash_diff(['name', 'city', 'note']) }}
from (select 'ann ' as name, 'Oslo' as city, '' as note) as state
