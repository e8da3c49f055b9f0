-- Airflow's own database, and the login that owns it. Again it changes nothing but the password.
\set ON_ERROR_STOP on
\set airflow_password ''
\getenv airflow_password AIRFLOW_DB_PASSWORD
select format('do $$ begin raise exception %L; end $$', name || ' is not set')
from (values ('AIRFLOW_DB_PASSWORD', :'airflow_password')) given (name, value) where value = ''
\gexec

select 'create role airflow' where not exists (select from pg_roles where rolname = 'airflow')
\gexec
alter role airflow login password :'airflow_password';
select 'create database airflow owner airflow' where not exists (select from pg_database where datname = 'airflow')
\gexec
revoke all on database airflow from public;
