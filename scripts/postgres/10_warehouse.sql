-- The warehouse: its login, roles and schemas. PostgreSQL's image runs this once, on an empty volume; run by hand
-- again it changes nothing but passwords, which become those of the environment.
--
--   penstock    login that lands and builds; acts as <project>_transformer, so that what it makes belongs to that role
--   analyst     login that reads what `penstock grants --apply` lets it: models without personal columns
--
-- The three roles are those of `penstock grants`: the owner of raw and penstock, of the models, and the reader.
\set ON_ERROR_STOP on
\set project ''
\set penstock_password ''
\set analyst_password ''
\getenv project PENSTOCK_NAME
\getenv penstock_password WAREHOUSE_PASSWORD
\getenv analyst_password ANALYST_PASSWORD
select format('do $$ begin raise exception %L; end $$', name || ' is not set')
from (values ('PENSTOCK_NAME', :'project'), ('WAREHOUSE_PASSWORD', :'penstock_password'), ('ANALYST_PASSWORD', :'analyst_password')) given (name, value) where value = ''
\gexec

select :'project' || '_loader' as loader, :'project' || '_transformer' as transformer,
       :'project' || '_analyst' as reader
\gset

select format('create role %I nologin', role)
from unnest(array[:'loader', :'transformer', :'reader']) role
where not exists (select from pg_roles where rolname = role)
\gexec

select format('create role %I', role) from unnest(array['penstock', 'analyst']) role
where not exists (select from pg_roles where rolname = role)
\gexec

alter role penstock login password :'penstock_password';
alter role analyst login password :'analyst_password';

grant :"loader" to :"transformer";
grant :"transformer" to penstock;
grant :"reader" to analyst;

select format('create database warehouse owner %I', :'transformer')
where not exists (select from pg_database where datname = 'warehouse')
\gexec

revoke connect, temporary on database warehouse from public;
grant connect on database warehouse to :"loader", :"transformer", :"reader";
grant temporary on database warehouse to :"loader", :"transformer";
alter role penstock in database warehouse set role :'transformer';

\connect warehouse
revoke create on schema public from public;
create schema if not exists raw authorization :"loader";
create schema if not exists penstock authorization :"loader";
