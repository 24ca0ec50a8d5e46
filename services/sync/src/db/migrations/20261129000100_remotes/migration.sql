-- What is sealed is so under BERTH_SECRETS_KEY, with the remote's id and the name of the field as the context.
create table remote (
  id uuid primary key default gen_random_uuid(),
  name text collate "C" not null unique,
  url text not null,
  upstream_name text,
  policy text not null check (policy in ('immediate', 'on_demand', 'streamed')),
  include_tags text[] not null default '{}',
  exclude_tags text[] not null default '{}',
  username text,
  sealed_password bytea,
  sealed_token bytea,
  tls_validation boolean not null default true,
  ca_cert text,
  concurrency integer not null default 8 check (concurrency between 1 and 64),
  retries integer not null default 5 check (retries between 0 and 20),
  allow_private_addresses boolean not null default false,
  created_at timestamptz not null default now(),
  created_by text not null,
  updated_at timestamptz not null default now(),
  -- several upstream repositories, and the prefix that they get here
  upstream_names text[] not null default '{}',
  target_prefix text,
  platforms text[] not null default '{}',
  client_cert text,
  sealed_client_key bytea,
  proxy_url text,
  proxy_username text,
  sealed_proxy_password bytea,
  header_names text[] not null default '{}',
  sealed_headers bytea,
  token_hosts text[] not null default '{}',
  rate_limit double precision check (rate_limit > 0),
  timeouts jsonb,
  include_foreign_layers boolean not null default false,
  signatures jsonb,
  -- how many bytes it takes in a list, so that a page is cut without reading what is cut off
  listed_bytes integer generated always as (
    2000 + octet_length(url) + text_bytes(upstream_names) + text_bytes(include_tags) + text_bytes(exclude_tags)
    + text_bytes(platforms) + text_bytes(token_hosts) + text_bytes(header_names)
    + coalesce(octet_length(ca_cert), 0)
    + coalesce(octet_length(client_cert), 0)
    + coalesce(octet_length(signatures::text), 0)
    + coalesce(octet_length(timeouts::text), 0)
  ) stored,
  -- hosts that it may send Berth to although they are at private addresses
  redirect_hosts text[] not null default '{}',
  -- One upstream repository, several, or none: a remote of pull-through names a host only.
  constraint remote_one_or_many check (upstream_name is null or cardinality(upstream_names) = 0),
  constraint remote_target_of_many check ((target_prefix is not null) = (cardinality(upstream_names) > 0)),
  constraint remote_client_pair check ((client_cert is null) = (sealed_client_key is null)),
  constraint remote_headers_named check ((sealed_headers is null) = (cardinality(header_names) = 0))
);

create table sync_run (
  id uuid primary key,
  task_id uuid not null unique,
  remote_id uuid not null,
  remote_name text not null,
  -- a repository is made with its first content: until then a run has none
  repository_id uuid,
  repository_name text not null,
  mode text not null check (mode in ('additive', 'mirror')),
  state text not null default 'waiting' check (state in ('waiting', 'running', 'completed', 'failed', 'cancelled')),
  actor text not null,
  result jsonb,
  error jsonb,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  -- whether a mirror may take away more than its guard lets pass
  force boolean not null default false,
  -- what it does with what fails: ends (fail), or goes on without it (skip)
  on_error text not null default 'fail' check (on_error in ('fail', 'skip')),
  -- whether it only says what it would do
  dry_run boolean not null default false,
  -- which of a remote's repositories it copies, and the task that it is a part of
  upstream_name text,
  parent_task uuid,
  -- whether it asked upstream what belongs to every tag, and not only to those that moved
  companions_asked boolean not null default false,
  listed_bytes integer generated always as (
    1500 + coalesce(octet_length(result::text), 0) + coalesce(octet_length(error::text), 0)
  ) stored
);
create index sync_run_created on sync_run (created_at, id);
create index sync_run_parent on sync_run (parent_task) where parent_task is not null;
create index sync_run_companions on sync_run (remote_id, repository_id, started_at) where companions_asked;
-- When a remote was last synced well, which metrics tell at each look.
create index sync_run_success on sync_run (remote_id, finished_at) where state = 'completed' and not dry_run;
-- Looked at again and again: whether their tasks are still there.
create index sync_run_unended on sync_run (created_at, id) where state in ('waiting', 'running');

-- Which remote has a blob, and in which of its repositories. Of what was seen there, whether it was fetched or not.
create table content_source (
  digest text not null,
  remote_id uuid not null references remote on delete cascade,
  upstream_repository text not null,
  seen_at timestamptz not null default now(),
  -- When upstream showed that it has it: by the bytes, or because it gave them once from another of its repositories. Null: it only
  -- named it (docs/decisions/0022).
  given_at timestamptz,
  primary key (digest, remote_id, upstream_repository)
);
create index content_source_remote on content_source (remote_id);

-- Until when a remote that gave wrong bytes is asked last, and why.
create table set_aside_remote (
  remote_id uuid primary key references remote on delete cascade,
  until timestamptz not null,
  reason text not null
);

-- Which replica fetches a blob at the moment, so that several fetch it once. `address` is where the others find it; one whose deadline
-- is over has lost it.
create table fetch_claim (
  digest text primary key,
  owner uuid not null,
  address text,
  deadline timestamptz not null
);
