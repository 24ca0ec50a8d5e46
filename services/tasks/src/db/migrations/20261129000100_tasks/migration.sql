create table task (
  id uuid primary key,
  -- the order in which tasks came, which is the order in which they get their resources
  seq bigint generated always as identity unique,
  kind text not null check (kind <> ''),
  parent uuid references task,
  state text not null default 'waiting' check (state in ('waiting', 'running', 'completed', 'failed', 'cancelled')),
  payload jsonb not null,
  resources text[] not null default '{}',
  progress jsonb not null default '[]',
  result jsonb,
  error jsonb,
  attempt integer not null default 0,
  -- grows with each claim; what carries a lower one comes from a worker that lost the task
  fence bigint not null default 0,
  worker text,
  lease_until timestamptz,
  cancel_requested boolean not null default false,
  actor text not null,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  -- how much the attempt that came furthest had done, and how many attempts in a row since were lost without getting further
  furthest bigint not null default 0,
  stuck integer not null default 0,
  -- how often what a task needs was away, and when it may be tried again
  put_back integer not null default 0,
  not_before timestamptz,
  -- how many bytes it takes in a list, so that a page is cut without reading what is cut off
  listed_bytes integer generated always as (
    500 + text_bytes(resources) + octet_length(progress::text)
    + coalesce(octet_length(result::text), 0)
    + coalesce(octet_length(error::text), 0)
  ) stored,
  constraint task_leased_while_running check ((state = 'running') = (lease_until is not null and worker is not null)),
  constraint task_finished_at_its_end check ((state in ('completed', 'failed', 'cancelled')) = (finished_at is not null))
);
create index task_waiting on task (kind, seq) where state = 'waiting';
create index task_leases on task (lease_until) where state = 'running';
create index task_by_kind on task (kind, seq);
create index task_by_state on task (state, seq);
create index task_by_actor on task (actor, seq);
create index task_by_parent on task (parent) where parent is not null;
-- Those that ended long ago are looked for.
create index task_by_end on task (finished_at) where finished_at is not null;

-- What tasks that have not ended hold or wait for; rows go when the task ends.
create table task_resource (
  task uuid not null references task on delete cascade,
  resource text not null check (resource <> ''),
  exclusive boolean not null,
  primary key (task, resource)
);
create index task_resource_by_name on task_resource (resource);
