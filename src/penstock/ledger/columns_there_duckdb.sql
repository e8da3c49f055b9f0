-- the columns of a stream, as the ledger knows them and as its table has them, at one moment
select 'ledger' as place, name from penstock.columns where stream = $1
union all
select 'table', column_name
from duckdb_columns()
where schema_name = 'raw' and table_name = $1 and database_name = current_database()
