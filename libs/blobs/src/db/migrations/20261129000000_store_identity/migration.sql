-- A copy of catalog's: whose blob store this schema belongs to.
create table store_identity (
  is_only boolean primary key default true check (is_only),
  id uuid not null
);
