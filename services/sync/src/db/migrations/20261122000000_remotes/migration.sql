-- Announcing and hearing (the same in every schema)
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

create table remote (
  id uuid primary key default gen_random_uuid(),
  name text collate "C" not null unique,
  url text not null,
  upstream_name text not null,
  policy text not null check (policy in ('immediate', 'on_demand', 'streamed')),
  include_tags text[] not null default '{}',
  exclude_tags text[] not null default '{}',
  username text,
  -- sealed under BERTH_SECRETS_KEY, with the remote's id as the context
  sealed_password bytea,
  sealed_token bytea,
  tls_validation boolean not null default true,
  ca_cert text,
  concurrency integer not null default 8 check (concurrency between 1 and 64),
  retries integer not null default 5 check (retries between 0 and 20),
  allow_private_addresses boolean not null default false,
  created_at timestamptz not null default now(),
  created_by text not null,
  updated_at timestamptz not null default now()
);

create table sync_run (
  id uuid primary key,
  task_id uuid not null unique,
  remote_id uuid not null,
  remote_name text not null,
  repository_id uuid not null,
  repository_name text not null,
  mode text not null check (mode in ('additive', 'mirror')),
  state text not null default 'waiting' check (state in ('waiting', 'running', 'completed', 'failed', 'cancelled')),
  actor text not null,
  result jsonb,
  error jsonb,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz
);
create index sync_run_created on sync_run (created_at, id);
