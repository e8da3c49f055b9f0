-- tables of raw whose rows have the number of their load
select c.table_name
from information_schema.columns c
join information_schema.tables t on t.table_schema = c.table_schema and t.table_name = c.table_name
where c.table_schema = 'raw' and c.column_name = '_pen_load' and t.table_type = 'BASE TABLE'
