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
  redirect boolean not null
);
create index pointer_repository on pointer (repository_id);
-- So that a late message cannot bring back a distribution that was deleted
create table gone_distribution (id uuid primary key, revision bigint not null);

create table served_tag (
  repository_id uuid not null,
  name text collate "C" not null,
  since integer not null,
  until integer,
  digest text not null,
  primary key (repository_id, name, since)
);
create table served_manifest (
  repository_id uuid not null,
  digest text not null,
  since integer not null,
  until integer,
  primary key (repository_id, digest, since)
);
create table served_blob (
  repository_id uuid not null,
  digest text not null,
  since integer not null,
  until integer,
  primary key (repository_id, digest, since)
);
create table served_link (repository_id uuid not null, digest text not null, primary key (repository_id, digest));

create table manifest_facts (
  digest text primary key,
  generation integer not null,
  media_type text not null,
  size_bytes bigint not null,
  artifact_type text,
  subject text,
  annotations jsonb not null
);
create index manifest_facts_subject on manifest_facts (subject) where subject is not null;
create table blob_facts (digest text primary key, generation integer not null, size_bytes bigint not null);

-- Repositories that an event says have changed
create table follow_wanted (repository_id uuid primary key);

-- Public keys of the token issuer, so that pulls need nobody else
create table token_key (kid text primary key, jwk jsonb not null);

create table upload_session (
  id uuid primary key,
  repository text not null,
  subject text not null,
  -- where the next byte goes: the end of the last part that was recorded
  offset_bytes bigint not null default 0,
  -- grows with each request that writes; only the latest may record its part
  fence integer not null default 0,
  state text not null default 'open' check (state in ('open', 'committed')),
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
