create table build (
  id uuid primary key,
  seq bigint generated always as identity unique,
  repository text not null check (repository <> ''),
  tag text not null check (tag <> ''),
  state text not null default 'waiting' check (state in ('waiting', 'running', 'completed', 'failed', 'cancelled')),
  -- the task, in the tasks service, that carries it out
  task_id uuid,
  -- the repository version that came out of it
  version integer,
  created_at timestamptz not null default now(),
  created_by text not null,
  finished_at timestamptz,
  constraint build_finished_at_its_end check ((state in ('completed', 'failed', 'cancelled')) = (finished_at is not null))
);
create index build_by_repository on build (repository, seq);
create index build_by_creator on build (created_by, seq);
