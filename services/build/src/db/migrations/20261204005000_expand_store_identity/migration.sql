-- A copy of catalog's: whose blob store this schema belongs to. It is not the library's migration, which others had in the first
-- release: the release before would refuse to start on a schema with a migration of that name, which says not that it only adds.
create table store_identity (
  is_only boolean primary key default true check (is_only),
  id uuid not null
);
