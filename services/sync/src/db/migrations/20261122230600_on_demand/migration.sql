-- Which remote has a blob, and in which of its repositories. Of what was seen there, whether it was fetched or not.
create table content_source (
  digest text not null,
  remote_id uuid not null references remote on delete cascade,
  upstream_repository text not null,
  seen_at timestamptz not null default now(),
  primary key (digest, remote_id, upstream_repository)
);
create index content_source_remote on content_source (remote_id);

-- Until when a remote that gave wrong bytes is asked last, and why.
create table set_aside_remote (
  remote_id uuid primary key references remote on delete cascade,
  until timestamptz not null,
  reason text not null
);

-- Who fetches a blob at the moment, so that several replicas of sync fetch it once. `address` is where the others find him;
-- one whose deadline is over has lost it.
create table fetch_claim (
  digest text primary key,
  owner uuid not null,
  address text,
  deadline timestamptz not null
);
