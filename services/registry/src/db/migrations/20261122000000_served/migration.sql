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
create index served_blob_digest on served_blob (digest);
create table served_link (repository_id uuid not null, digest text not null, primary key (repository_id, digest));
create index served_link_digest on served_link (digest);

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

-- Writes rows that catalog gave for a repository, whatever their kinds; may be repeated.
create function write_rows(p_repository uuid, p_rows jsonb) returns void language plpgsql as $$
begin
  insert into blob_facts (digest, generation, size_bytes)
    select digest, generation, "sizeBytes" from jsonb_to_recordset(p_rows) as row (kind text, digest text, generation integer, "sizeBytes" bigint)
    where kind = 'blob-facts' order by digest
    on conflict (digest) do update set generation = excluded.generation, size_bytes = excluded.size_bytes
      where blob_facts.generation < excluded.generation;
  insert into served_link (repository_id, digest)
    select p_repository, digest from jsonb_to_recordset(p_rows) as row (kind text, digest text, linked boolean) where kind = 'link' and linked
    on conflict do nothing;
  -- A pushed blob brings these two rows and no others.
  if jsonb_array_length(p_rows) = 2 and p_rows @> '[{"kind": "link", "linked": true}, {"kind": "blob-facts"}]' then return; end if;
  delete from served_link using jsonb_to_recordset(p_rows) as row (kind text, digest text, linked boolean)
    where kind = 'link' and not row.linked and served_link.repository_id = p_repository and served_link.digest = row.digest;
  insert into manifest_facts (digest, generation, media_type, size_bytes, artifact_type, subject, annotations)
    select digest, generation, "mediaType", "sizeBytes", "artifactType", subject, annotations from jsonb_to_recordset(p_rows)
      as row (kind text, digest text, generation integer, "mediaType" text, "sizeBytes" bigint, "artifactType" text, subject text, annotations jsonb)
    where kind = 'manifest-facts' order by digest
    on conflict (digest) do update set generation = excluded.generation where manifest_facts.generation < excluded.generation;
  insert into served_blob (repository_id, digest, since, until)
    select p_repository, digest, since, until from jsonb_to_recordset(p_rows) as row (kind text, digest text, since integer, until integer)
    where kind = 'blob'
    on conflict (repository_id, digest, since) do update set until = excluded.until;
  insert into served_manifest (repository_id, digest, since, until)
    select p_repository, digest, since, until from jsonb_to_recordset(p_rows) as row (kind text, digest text, since integer, until integer)
    where kind = 'manifest'
    on conflict (repository_id, digest, since) do update set until = excluded.until;
  insert into served_tag (repository_id, name, since, until, digest)
    select p_repository, name, since, until, digest from jsonb_to_recordset(p_rows) as row (kind text, name text, digest text, since integer, until integer)
    where kind = 'tag'
    on conflict (repository_id, name, since) do update set until = excluded.until, digest = excluded.digest;
end $$;

-- Moves the head of a repository, and with it every pointer that follows it.
create function move_head(p_repository uuid, p_head jsonb) returns void language plpgsql as $$
declare
  v_name text := p_head ->> 'name';
  v_revision bigint := (p_head ->> 'revision')::bigint;
  v_latest integer := (p_head ->> 'latestVersion')::integer;
begin
  update served_repository set name = v_name, revision = v_revision, latest_version = v_latest where id = p_repository;
  update pointer set repository_name = v_name, repository_revision = v_revision, latest_version = v_latest where repository_id = p_repository;
end $$;

-- Applies a change as a whole, in one statement: 'applied', 'old' (known already), or 'gap' (something before it is missing).
create function apply_change(p_repository uuid, p_head jsonb, p_rows jsonb) returns text language plpgsql as $$
declare
  v_revision bigint;
begin
  select revision into v_revision from served_repository where id = p_repository for update;
  if (p_head ->> 'revision')::bigint <= v_revision then return 'old'; end if;
  if v_revision is null or (p_head ->> 'from')::bigint > v_revision then return 'gap'; end if;
  perform write_rows(p_repository, p_rows);
  perform move_head(p_repository, p_head);
  return 'applied';
end $$;
