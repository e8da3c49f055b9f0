-- How the records are nested: each structure, and the first record that has it.
select json_structure(case when {clean} then body else '{}' end)::varchar as structure, min(o) as o
from {source}
group by structure
