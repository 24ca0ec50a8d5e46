create table outbox (
  id uuid primary key,
  seq bigint generated always as identity,
  position bigint unique,
  subject text not null,
  event jsonb not null,
  recorded_at timestamptz not null default now(),
  published_at timestamptz
);
create index outbox_unplaced on outbox (seq) where position is null;
create index outbox_unpublished on outbox (position) where published_at is null;
create table outbox_head (single boolean primary key default true check (single), position bigint not null default 0);
insert into outbox_head default values;
create table inbox (consumer text not null, source text not null, position bigint not null, handled_at timestamptz not null default now(), primary key (consumer, source));
create table dead_letter (consumer text not null, event_id uuid not null, event jsonb not null, reason text not null, attempts integer not null, buried_at timestamptz not null default now(), primary key (consumer, event_id));

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
