-- How the records are nested: each structure, how many records have it, and where the first of them are. No structure
-- is of what has to be looked at with care: what is no JSON, or no single object.
select structure, count(*) as records, list(o order by o)[:1000] as places
from (select o, case when json_valid(body) and json_type(body) = 'OBJECT' then json_structure(body)::varchar end as structure from records)
group by structure
