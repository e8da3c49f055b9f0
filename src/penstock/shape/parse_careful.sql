-- The records that careful.py examined join the others.
insert into parsed
select
  o,
  body,
  json_normalize(body),
  json_keys(body),
  json_extract_string(body, {paths}),
  json_type(body, {paths}),
  true,
  false
from sound
