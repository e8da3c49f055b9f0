-- Metabase's own database, and the login that owns it. Again it changes nothing but the password.
\set ON_ERROR_STOP on
\set metabase_password ''
\getenv metabase_password METABASE_DB_PASSWORD
select format('do $$ begin raise exception %L; end $$', name || ' is not set')
from (values ('METABASE_DB_PASSWORD', :'metabase_password')) given (name, value) where value = ''
\gexec

select 'create role metabase' where not exists (select from pg_roles where rolname = 'metabase')
\gexec
alter role metabase login password :'metabase_password';
select 'create database metabase owner metabase' where not exists (select from pg_database where datname = 'metabase')
\gexec
revoke all on database metabase from public;
