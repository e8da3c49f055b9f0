select table_name, column_name
from duckdb_columns()
where schema_name = 'penstock' and database_name = current_database()
