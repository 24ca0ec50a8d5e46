-- Whose blob store it is, and the marks by which it is seen that nobody else deletes in it.
create table store_identity (
  is_only boolean primary key default true check (is_only),
  id uuid not null default gen_random_uuid(),
  mark uuid not null default gen_random_uuid(),
  next_mark uuid not null default gen_random_uuid()
);
