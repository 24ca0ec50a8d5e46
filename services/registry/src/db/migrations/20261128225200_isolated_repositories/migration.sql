-- Repositories that the model could not follow, each with when it is tried next. They hold up no other.
create table isolated_repository (
  repository_id uuid primary key,
  since timestamptz not null default now(),
  failures integer not null,
  next_try_at timestamptz not null,
  reason text not null
);
create index isolated_repository_next_try on isolated_repository (next_try_at);
