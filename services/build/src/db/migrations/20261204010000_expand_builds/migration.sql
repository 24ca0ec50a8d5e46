-- What is asked for, and what came of it. `tag` is the first of `tags`, for programs of the release before.
alter table build
  add column repository_id uuid,
  add column owner_id uuid,
  add column tags text[] not null default '{}',
  add column platforms text[] not null default '{}',
  add column target text,
  add column network text not null default 'none' check (network in ('none', 'egress')),
  add column no_cache boolean not null default false,
  add column digest text,
  add column result jsonb,
  add column error jsonb,
  add column started_at timestamptz,
  -- Lines and bytes of its log so far; the number of the last line is the first one.
  add column log_lines bigint not null default 0,
  add column log_bytes bigint not null default 0,
  add column log_cut boolean not null default false;
create index build_by_task on build (task_id);
create index build_unended on build (created_at, id) where state in ('waiting', 'running');

-- What a build works with. The row goes when the build has ended, and with it all that is secret.
create table build_input (
  build_id uuid primary key references build (id) on delete cascade,
  containerfile text not null,
  -- Names and values, by name.
  build_args jsonb not null default '{}',
  labels jsonb not null default '{}',
  source_date_epoch bigint not null default 0,
  -- How the caller reached Berth, host and port: names that begin with it are names here.
  host text not null,
  -- The context lies in the blob store under a lease of the build.
  context_digest text,
  context_generation bigint,
  context_bytes bigint,
  -- Of all secrets together, as JSON by id.
  secrets_sealed bytea
);

create table build_log (
  build_id uuid not null references build (id) on delete cascade,
  line bigint not null,
  at timestamptz not null,
  step text,
  stream text not null check (stream in ('stdout', 'stderr')),
  text text not null,
  primary key (build_id, line)
);
