-- The read model: what catalog has said is served. It can be dropped and filled again at any time.
create table served_repository (
  id uuid primary key,
  name text collate "C" not null default '',
  -- the revision up to which this model has followed; 0 while nothing has come
  revision bigint not null default 0,
  latest_version integer not null default 0
);

-- One small row per distribution, read for every request: the only thing on the pull path that changes.
create table pointer (
  base_path text collate "C" primary key,
  distribution_id uuid not null unique,
  repository_id uuid not null references served_repository,
  repository_name text not null,
  pinned integer,
  latest_version integer not null,
  repository_revision bigint not null,
  distribution_revision bigint not null,
  access text not null,
  redirect boolean not null,
  warning text,
  convert_to_schema1 boolean not null default false,
  -- the row of `pull_through` by which it came. No foreign key: the two are told of in any order
  via uuid
);
create index pointer_repository on pointer (repository_id);

-- So that a late message cannot bring back a distribution that was deleted. A message that comes later than these rows are kept
-- would be no message any more.
create table gone_distribution (
  id uuid primary key,
  revision bigint not null,
  gone_at timestamptz not null default now()
);

-- Base paths below which content comes from a remote when it is first pulled, with what catalog says of them.
create table pull_through (
  id uuid primary key,
  base_path text collate "C" not null unique,
  host text not null,
  remote_id uuid not null,
  ttl_seconds integer not null,
  trigger jsonb not null,
  access text not null,
  revision bigint not null
);
create index pull_through_host on pull_through (host, base_path);

-- What is over is deleted from time to time, which the indexes `…_over` find. Tags have none: when a tag moves, its interval ends, and a
-- rollback ends those of all tags at once. With room left on its page, and no index that names `until`, the row is changed where it is
-- and no index hears of it: a third of the time of very many. A tag that is over at once is so rare that looking for it goes through
-- the rows of a repository.
create table served_tag (
  repository_id uuid not null,
  name text collate "C" not null,
  since integer not null,
  until integer,
  digest text not null,
  primary key (repository_id, name, since)
) with (fillfactor = 50);

create table served_manifest (
  repository_id uuid not null,
  digest text not null,
  since integer not null,
  until integer,
  primary key (repository_id, digest, since)
);
create index served_manifest_digest on served_manifest (digest);
create index served_manifest_over on served_manifest (repository_id) where until <= since;

create table served_blob (
  repository_id uuid not null,
  digest text not null,
  since integer not null,
  until integer,
  primary key (repository_id, digest, since)
);
create index served_blob_digest on served_blob (digest);
create index served_blob_over on served_blob (repository_id) where until <= since;

create table served_link (
  repository_id uuid not null,
  digest text not null,
  primary key (repository_id, digest)
);
create index served_link_digest on served_link (digest);

create table served_signature (
  repository_id uuid not null,
  name text collate "C" not null,
  since integer not null,
  until integer,
  digest text not null,
  content text not null,
  primary key (repository_id, name, since)
);
create index served_signature_digest on served_signature (repository_id, digest);
create index served_signature_over on served_signature (repository_id) where until <= since;

create table manifest_facts (
  digest text primary key,
  generation integer not null,
  media_type text not null,
  size_bytes bigint not null,
  artifact_type text,
  subject text,
  annotations jsonb not null,
  -- where its bytes lie, when its digest is of a part of them only: {digest, generation, sizeBytes}
  envelope jsonb,
  -- how many bytes it takes in a list of referrers, so that a page is cut without reading what is cut off
  listed_bytes integer generated always as (
    400 + octet_length(media_type) + coalesce(octet_length(artifact_type), 0) + octet_length(annotations::text)
  ) stored
);
create index manifest_facts_subject on manifest_facts (subject) where subject is not null;

create table blob_facts (
  digest text primary key,
  generation integer not null,
  size_bytes bigint not null
);

-- Repositories that an event says have changed.
create table follow_wanted (repository_id uuid primary key);

-- Repositories that the model could not follow, each with when it is tried next. They hold up no other.
create table isolated_repository (
  repository_id uuid primary key,
  since timestamptz not null default now(),
  failures integer not null,
  next_try_at timestamptz not null,
  reason text not null
);
create index isolated_repository_next_try on isolated_repository (next_try_at);

-- Public keys of the token issuer, so that pulls need no other service.
create table token_key (kid text primary key, jwk jsonb not null);

-- The key that manifests made for old clients are signed with, made at its first use and sealed.
create table schema1_key (
  single boolean primary key default true check (single),
  sealed bytea not null,
  made_at timestamptz not null default now()
);

-- A session has a row only once bytes came. One that was given up leaves a row behind, so that it does not begin anew.
create table upload_session (
  id uuid primary key,
  repository text not null,
  subject text not null,
  -- where the next byte goes: the end of the last part that was recorded
  offset_bytes bigint not null default 0,
  -- grows with each request that writes; only the latest may record its part
  fence integer not null default 0,
  state text not null default 'open' check (state in ('open', 'committed', 'dropped')),
  digest text,
  created_at timestamptz not null default now(),
  touched_at timestamptz not null default now()
);
create index upload_session_touched on upload_session (touched_at);

create table upload_part (
  session uuid not null references upload_session on delete cascade,
  start_offset bigint not null,
  part jsonb not null,
  primary key (session, start_offset)
);
