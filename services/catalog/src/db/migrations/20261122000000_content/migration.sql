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

-- Commands that were carried out, with their replies, so that a repetition has no second effect
create table command (id text primary key, reply jsonb not null, done_at timestamptz not null default now());
create index command_done on command (done_at);

create table repository (
  id uuid primary key default gen_random_uuid(),
  name text collate "C" not null unique,
  description text not null default '',
  labels jsonb not null default '{}',
  latest_version integer not null default 0,
  -- numbers every served change of the repository and never repeats
  revision bigint not null default 1,
  -- when the last loose manifest came; null when nothing is loose
  loose_since timestamptz,
  created_at timestamptz not null default now(),
  created_by text not null
);
create index repository_loose on repository (loose_since) where loose_since is not null;

create table version (
  repository_id uuid not null references repository on delete cascade,
  number integer not null check (number >= 0),
  base integer not null,
  cause text not null,
  created_at timestamptz not null default now(),
  created_by text not null,
  task_id uuid,
  revision bigint not null,
  present jsonb not null,
  added jsonb not null,
  removed jsonb not null,
  content_hash text not null,
  primary key (repository_id, number)
);

-- Bytes of the store. A blob is `present` once its bytes are durable under this generation of its key.
create table blob (
  digest text primary key,
  generation integer not null default 1,
  size_bytes bigint,
  state text not null check (state in ('writing', 'present', 'removing')),
  created_at timestamptz not null default now(),
  check (state <> 'present' or size_bytes is not null)
);
create table lease (
  digest text not null references blob on delete cascade,
  holder text not null,
  expires_at timestamptz not null,
  primary key (digest, holder)
);
create index lease_holder on lease (holder);
create index lease_expiry on lease (expires_at);

create table manifest (
  digest text primary key references blob,
  media_type text not null,
  is_index boolean not null,
  size_bytes bigint not null,
  artifact_type text,
  subject text,
  annotations jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create table manifest_reference (
  manifest text not null references manifest on delete cascade,
  place integer not null,
  role text not null check (role in ('config', 'layer', 'manifest', 'subject')),
  child text not null,
  media_type text not null,
  size_bytes bigint not null,
  optional boolean not null,
  platform jsonb,
  primary key (manifest, place)
);
create index manifest_reference_child on manifest_reference (child);

-- Content of versions as intervals: a row holds for the versions from `since` up to, not including, `until`.
-- An open row whose `since` is the version to come is loose: served where the latest version is, and part of the next one.
create table tag_interval (
  repository_id uuid not null references repository on delete cascade,
  name text collate "C" not null,
  since integer not null,
  until integer check (until >= since),
  digest text not null references manifest,
  revision bigint not null,
  primary key (repository_id, name, since)
);
create unique index tag_open on tag_interval (repository_id, name) where until is null;
create index tag_digest on tag_interval (repository_id, digest) where until is null;
create index tag_revision on tag_interval (repository_id, revision);

create table manifest_interval (
  repository_id uuid not null references repository on delete cascade,
  digest text not null references manifest,
  since integer not null,
  until integer check (until >= since),
  revision bigint not null,
  primary key (repository_id, digest, since)
);
create unique index manifest_open on manifest_interval (repository_id, digest) where until is null;
create index manifest_revision on manifest_interval (repository_id, revision);

create table blob_interval (
  repository_id uuid not null references repository on delete cascade,
  digest text not null references blob,
  since integer not null,
  until integer check (until >= since),
  revision bigint not null,
  primary key (repository_id, digest, since)
);
create unique index blob_open on blob_interval (repository_id, digest) where until is null;
create index blob_revision on blob_interval (repository_id, revision);

-- Blobs that were pushed or mounted and that a manifest may name. `linked` false is the trace of a removed link, for followers.
create table blob_link (
  repository_id uuid not null references repository on delete cascade,
  digest text not null references blob,
  linked boolean not null,
  linked_at timestamptz not null default now(),
  revision bigint not null,
  primary key (repository_id, digest)
);
create index blob_link_revision on blob_link (repository_id, revision);

create sequence distribution_revision;
create table distribution (
  id uuid primary key default gen_random_uuid(),
  name text collate "C" not null unique,
  base_path text collate "C" not null unique,
  repository_id uuid not null references repository,
  version integer,
  access text not null check (access in ('public', 'private')),
  redirect boolean not null default false,
  revision bigint not null default nextval('distribution_revision'),
  created_at timestamptz not null default now(),
  created_by text not null,
  -- a version that a distribution pins cannot be deleted
  foreign key (repository_id, version) references version (repository_id, number)
);
create index distribution_repository on distribution (repository_id);
-- Traces for followers that were away
create table deleted_distribution (id uuid primary key, base_path text not null, repository_id uuid not null, revision bigint not null, deleted_at timestamptz not null default now());
create table deleted_repository (id uuid primary key, name text not null, deleted_at timestamptz not null default now());

-- Large changes are put aside in parts and committed at once
create table stage (
  id text primary key,
  fence bigint not null,
  state text not null check (state in ('open', 'committed', 'closed')),
  reply jsonb,
  touched_at timestamptz not null default now()
);
create table stage_tag (stage text not null references stage on delete cascade, name text collate "C" not null, digest text not null, primary key (stage, name));
create table stage_manifest (stage text not null references stage on delete cascade, digest text not null references manifest, primary key (stage, digest));

-- What every push does for each blob, in one statement each.

-- Leases digests (sorted) for a holder and says under which generation their bytes lie, or are to be written.
create function lease_blobs(p_digests text[], p_holder text, p_seconds integer)
returns table (digest text, generation integer, state text, size_bytes bigint) language plpgsql as $$
#variable_conflict use_column
begin
  -- A lease that a crash of PostgreSQL takes back costs its writer another try: the commit of what it wrote checks again.
  perform set_config('synchronous_commit', 'off', true);
  perform pg_advisory_xact_lock(hashtextextended(wanted, 0)) from unnest(p_digests) as wanted;
  return query
    insert into blob as known (digest, state) select unnest(p_digests), 'writing'
    on conflict (digest) do update set
      generation = known.generation + (known.state = 'removing')::integer,
      state = case known.state when 'removing' then 'writing' else known.state end,
      size_bytes = case known.state when 'removing' then null else known.size_bytes end
    returning known.digest, known.generation, case known.state when 'present' then 'present' else 'write' end, known.size_bytes;
  insert into lease (digest, holder, expires_at) select unnest(p_digests), p_holder, now() + make_interval(secs => p_seconds)
    on conflict (digest, holder) do update set expires_at = greatest(lease.expires_at, excluded.expires_at);
end $$;

-- Notes that a blob is durable and links it to a repository. No row: there is no such repository, and nothing was changed.
-- Raises BR001 when the generation is not the one being written.
create function link_blob(p_repository text, p_digest text, p_generation integer, p_size bigint)
returns table (id uuid, name text, revision bigint, latest_version integer) language plpgsql as $$
#variable_conflict use_column
declare
  linked repository%rowtype;
begin
  update repository set revision = repository.revision + 1 where repository.name = p_repository returning * into linked;
  if not found then return; end if;
  -- The row is there since the lease; its own lock orders this against the collector's mark.
  update blob set state = 'present', size_bytes = p_size
    where blob.digest = p_digest and blob.generation = p_generation and blob.state in ('writing', 'present');
  if not found then raise exception 'generation % of % is not being written', p_generation, p_digest using errcode = 'BR001'; end if;
  insert into blob_link (repository_id, digest, linked, revision) values (linked.id, p_digest, true, linked.revision)
    on conflict (repository_id, digest) do update set linked = true, linked_at = now(), revision = excluded.revision;
  return query select linked.id, linked.name, linked.revision, linked.latest_version;
end $$;
