-- A copy of catalog's: whose blob store this schema belongs to. The library has a migration that makes the same table, but its name does
-- not say that it only adds, so build of the release before would refuse to start on a schema that has it.
create table store_identity (
  is_only boolean primary key default true check (is_only),
  id uuid not null
);
