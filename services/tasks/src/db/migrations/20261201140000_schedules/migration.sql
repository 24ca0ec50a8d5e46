-- What is done again and again. `next_at` is when it is due; a row that is fired moves it on in the same transaction in which its run
-- is noted, so that a time is used once, whichever replica finds it and wherever that one is killed.
create table schedule (
  id uuid primary key default gen_random_uuid(),
  name text collate "C" not null unique check (name <> ''),
  cron text not null,
  time_zone text not null,
  kind text not null,
  parameters jsonb not null,
  paused boolean not null default false,
  paused_because text,
  overlap text not null default 'skip' check (overlap in ('skip', 'queue')),
  missed text not null default 'once' check (missed in ('once', 'skip')),
  jitter_seconds integer not null default 0,
  run_as_id uuid not null,
  run_as text not null,
  owner_id uuid,
  next_at timestamptz,
  queued boolean not null default false,
  created_by text not null,
  created_by_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create index schedule_due on schedule (next_at) where next_at is not null and not paused;

create index schedule_queued on schedule (id) where queued and not paused;

-- What came of each time. `task` is drawn beforehand, so that a start that was cut off is tried again as the same task; it stays empty in
-- the view of a kind that makes none.
create table schedule_run (
  id bigint generated always as identity primary key,
  schedule_id uuid not null references schedule (id) on delete cascade,
  due_at timestamptz not null,
  started_at timestamptz not null default now(),
  state text not null check (state in ('starting', 'running', 'completed', 'failed', 'cancelled', 'skipped')),
  task uuid not null default gen_random_uuid(),
  has_task boolean not null default false,
  error jsonb,
  tries integer not null default 0,
  try_at timestamptz not null default now(),
  finished_at timestamptz
);

create index schedule_run_by_schedule on schedule_run (schedule_id, id);

create index schedule_run_starting on schedule_run (try_at) where state = 'starting';

create index schedule_run_by_task on schedule_run (task) where state = 'running';
