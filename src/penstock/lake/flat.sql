select {columns}record as {record}
from (
  select o, record, case when body is not null then json_extract_string(body, [{paths}]::varchar[]) end as t
  from sound
)
order by o
