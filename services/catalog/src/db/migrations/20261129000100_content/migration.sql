-- The columns `listed_bytes`: how many bytes a row takes in a list, so that a page is cut without reading what is cut off. The texts of
-- jsonb are somewhat longer than the JSON that is sent.

-- Commands that were carried out, with their replies, so that a repetition has no second effect.
create table command (
  id text primary key,
  reply jsonb not null,
  done_at timestamptz not null default now()
);
create index command_done on command (done_at);

-- Whose blob store it is, and the marks by which it is seen that no other program deletes in it.
create table store_identity (
  is_only boolean primary key default true check (is_only),
  id uuid not null default gen_random_uuid(),
  mark uuid not null default gen_random_uuid(),
  next_mark uuid not null default gen_random_uuid()
);

-- Bytes of the store

-- No generation of a key comes twice, so that a row can be deleted and a delete of its object may still be under way: what it hits is
-- not in use. Generation 1 is what a row has that names none.
create sequence blob_generation;
select setval('blob_generation', 1);

-- A blob is `present` once its bytes are durable under this generation of its key. `remote`: the bytes are not here, and a remote that
-- sync knows has them (docs/decisions/0014).
create table blob (
  digest text primary key,
  generation integer not null default 1,
  size_bytes bigint,
  state text not null check (state in ('writing', 'present', 'removing', 'remote')),
  created_at timestamptz not null default now(),
  -- since when the collector has seen nothing that needs it, and when it was marked for removal
  candidate_since timestamptz,
  marked_at timestamptz,
  -- What a look at the stored bytes found. `missing` and `rotten` ones are to be written again by what has them. `healed`: they were,
  -- under another generation, and registry has yet to hear of it.
  damage text check (damage in ('missing', 'rotten', 'healed')),
  checked_at timestamptz,
  -- The only holder that has ever leased this generation; null once there were two. Bytes that lie under it before it was said that
  -- they are there can then be its own only.
  lone_writer text,
  check (state <> 'present' or size_bytes is not null),
  constraint blob_remote_size check (state <> 'remote' or size_bytes is not null)
);
create index blob_candidate on blob (digest) where candidate_since is not null;
create index blob_removing on blob (digest) where state = 'removing';
create index blob_damaged on blob (digest) where damage is not null;
create index blob_remote on blob (digest) where state = 'remote';

create table lease (
  digest text not null references blob on delete cascade,
  holder text not null,
  expires_at timestamptz not null,
  -- A lease of a repository: its pushes may name the blob in a manifest even if the repository loses it meanwhile. No foreign key: it
  -- would wait for the holder of the repository, with the row of the blob held, and they come in the other order.
  repository_id uuid,
  primary key (digest, holder)
);
create index lease_holder on lease (holder);
create index lease_expiry on lease (expires_at);

create table gc_run (
  id uuid primary key default gen_random_uuid(),
  cause text not null check (cause in ('interval', 'request')),
  task_id uuid,
  grace_seconds integer not null,
  -- whether the store was listed and old traces were deleted too
  thorough boolean not null,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  result jsonb,
  error text
);
create index gc_run_started on gc_run (started_at desc, id desc);

-- Rounds in which all stored bytes are looked at, by themselves. One at a time, by one replica at a time: one whose lease runs out is
-- followed by another, which goes on where `checked_at` of the blobs says that the round is.
create table scrub_round (
  id uuid primary key default gen_random_uuid(),
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  holder uuid not null,
  lease_until timestamptz not null,
  checked bigint not null default 0,
  checked_bytes bigint not null default 0,
  damaged bigint not null default 0
);
create unique index scrub_round_open on scrub_round ((true)) where finished_at is null;
create index scrub_round_started on scrub_round (started_at desc);

-- Repositories and their versions

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
  created_by text not null,
  -- patterns of tags that may be made, and then neither moved nor deleted, whatever door the change comes by
  immutable_tags text[] not null default '{}',
  -- whether an index may be pushed before, or without, all it names
  sparse_indexes boolean not null default false,
  -- how many of the newest versions are kept, besides those that a distribution pins; null keeps all
  retain_versions integer check (retain_versions > 0),
  -- what goes by itself in time; null: what the namespace says
  retention jsonb,
  -- Set while a rollback of very much is served and its intervals are still to be written: the latest version then has the content of
  -- this one, and what is open is that of the version before (docs/decisions/0024).
  content_of integer,
  -- Versions by which the content of a later one was read until its intervals were written. `retainVersions` leaves them until registry
  -- has followed that: a reader that was sent there a moment ago would find only what other versions have too.
  lately_read integer[] not null default '{}',
  -- whose signatures content must have that comes from upstream: {"require", "keys"}; null asks for none
  signatures jsonb,
  listed_bytes integer generated always as (
    800 + octet_length(description) + octet_length(labels::text)
    + coalesce(octet_length(retention::text), 0)
    + coalesce(octet_length(signatures::text), 0)
  ) stored,
  -- Where all of a repository came from by pull-through, {host, name}: then another distribution of that host may go on with it. Null
  -- once anything else has changed its content.
  pulled_from jsonb,
  -- Nothing comes on top of a rollback before its intervals are written; a program that does not write them would not know.
  constraint repository_unsettled_is_whole check (content_of is null or loose_since is null)
);
create index repository_loose on repository (loose_since) where loose_since is not null;
create index repository_labels on repository using gin (labels);
create index repository_namespace on repository (split_part(name, '/', 1), name);
create index repository_unsettled on repository (id) where content_of is not null;
create index repository_lately_read on repository (id) where lately_read <> '{}';

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
  -- the first version of a run of retention that took several: to `retainVersions` they count as one
  part_of integer,
  primary key (repository_id, number)
);
-- A follower asks for the rollback that came next.
create index version_rolled_back on version (repository_id, revision) where cause = 'rollback';

alter table repository add constraint repository_content_of foreign key (id, content_of) references version (repository_id, number);

-- The highest revision whose trace was deleted. A follower that knows less than that must hear everything anew. No foreign key, for
-- the same reason as in `lease`.
create table forgotten_trace (repository_id uuid primary key, revision bigint not null);

create table deleted_repository (
  id uuid primary key,
  name text not null,
  deleted_at timestamptz not null default now()
);

-- A namespace is the first segment of a repository's name. It is there with its first repository; a row says what is set.
create table namespace (
  id uuid primary key default gen_random_uuid(),
  name text collate "C" not null unique,
  -- what a first push makes
  default_access text not null default 'private' check (default_access in ('public', 'private')),
  labels jsonb not null default '{}',
  -- for repositories without rules of their own
  retention jsonb,
  created_at timestamptz not null default now(),
  created_by text not null,
  -- how many bytes it may hold, each digest counted once; null: any number
  quota_bytes bigint check (quota_bytes >= 0),
  -- the sum of what `namespace_blob` counts
  used_bytes bigint not null default 0,
  counted_at timestamptz,
  listed_bytes integer generated always as (
    500 + octet_length(labels::text) + coalesce(octet_length(retention::text), 0)
  ) stored
);

-- What is counted against a quota. Only added to when content comes; a recount takes out what is no longer held.
create table namespace_blob (
  namespace_id uuid not null references namespace on delete cascade,
  digest text not null,
  size_bytes bigint not null,
  primary key (namespace_id, digest)
);

-- Manifests

create table manifest (
  digest text primary key references blob,
  media_type text not null,
  is_index boolean not null,
  size_bytes bigint not null,
  artifact_type text,
  subject text,
  -- of many, whole entries up to 64 KiB, in byte order of their keys; the manifest's own bytes have them all
  annotations jsonb not null default '{}',
  created_at timestamptz not null default now(),
  -- The bytes as pushed, where the manifest's digest is of a part of them: signed schema 1. A reference at place 0 keeps them.
  envelope text references blob,
  -- What can be looked for in it (libs/oci/src/manifest-facts.ts); null until it was looked at.
  facts jsonb,
  -- whether its configuration still has to be looked into; until then `facts` say what the manifest does by itself
  config_unread boolean not null default true,
  listed_bytes integer generated always as (
    500 + octet_length(annotations::text) + coalesce(octet_length(facts::text), 0)
  ) stored
);
-- What refers to a manifest is asked for wherever manifests go or are copied.
create index manifest_subject on manifest (subject) where subject is not null;
create index manifest_envelope on manifest (envelope) where envelope is not null;
create index manifest_config_unread on manifest (digest) where config_unread;
-- So that a list of a kind which most manifests have is read in order up to its page, and not as a whole.
create statistics manifest_kind on (facts ->> 'kind') from manifest;

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

-- Content of versions as intervals (docs/decisions/0005): a row holds for the versions from `since` up to, not including, `until`. An
-- open row whose `since` is the version to come is loose: served where the latest version is, and part of the next one. What writes an
-- interval holds the row of its repository, so there are no foreign keys to it (functions/forget-content.sql).
--
-- Their indexes: `…_open`, what is there now; `…_revision`, what a follower has missed; `…_digest`, whether anything needs what might
-- be collected; `…_over`, what was over before a version had it: the collector looks for these, and a rollback asks whether one is in
-- its way. `opened_at` is kept beside the intervals, because the version that opened one may be deleted.

-- That a tag's manifest is recorded is seen to by triggers (functions/tags-have-manifests.sql).
create table tag_interval (
  repository_id uuid not null,
  name text collate "C" not null,
  since integer not null,
  until integer check (until >= since),
  digest text not null,
  revision bigint not null,
  -- since when the tag points where it points
  opened_at timestamptz not null default now(),
  primary key (repository_id, name, since)
);
create unique index tag_open on tag_interval (repository_id, name) where until is null;
create index tag_revision on tag_interval (repository_id, revision);
-- One index for both questions: whether anything needs a digest, and which tags of a repository stand for it.
create index tag_interval_of_digest on tag_interval (digest, repository_id);
create index tag_over on tag_interval (repository_id, since) where until <= since;

create table manifest_interval (
  repository_id uuid not null,
  digest text not null references manifest,
  since integer not null,
  until integer check (until >= since),
  revision bigint not null,
  -- since when it is here
  opened_at timestamptz not null default now(),
  primary key (repository_id, digest, since)
);
create unique index manifest_open on manifest_interval (repository_id, digest) where until is null;
create index manifest_revision on manifest_interval (repository_id, revision);
create index manifest_interval_digest on manifest_interval (digest);
create index manifest_over on manifest_interval (repository_id, since) where until <= since;

create table blob_interval (
  repository_id uuid not null,
  digest text not null references blob,
  since integer not null,
  until integer check (until >= since),
  revision bigint not null,
  primary key (repository_id, digest, since)
);
create unique index blob_open on blob_interval (repository_id, digest) where until is null;
create index blob_revision on blob_interval (repository_id, revision);
create index blob_interval_digest on blob_interval (digest);
create index blob_over on blob_interval (repository_id, since) where until <= since;

-- Atomic signatures of manifests.
create table signature_interval (
  repository_id uuid not null,
  -- the digest of its manifest, `@`, 32 hex digits of the signer's choice
  name text collate "C" not null,
  since integer not null,
  until integer check (until >= since),
  digest text not null references manifest on delete cascade,
  -- base64
  content text not null,
  revision bigint not null,
  primary key (repository_id, name, since)
);
create unique index signature_open on signature_interval (repository_id, name) where until is null;
create index signature_digest on signature_interval (repository_id, digest) where until is null;
create index signature_revision on signature_interval (repository_id, revision);
create index signature_interval_digest on signature_interval (digest);
create index signature_over on signature_interval (repository_id, since) where until <= since;

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
create index blob_link_digest on blob_link (digest);

-- Distributions

create sequence distribution_revision;

create table distribution (
  id uuid primary key default gen_random_uuid(),
  name text collate "C" not null unique,
  base_path text collate "C" not null unique,
  repository_id uuid references repository,
  version integer,
  access text not null check (access in ('public', 'private')),
  redirect boolean not null default false,
  revision bigint not null default nextval('distribution_revision'),
  created_at timestamptz not null default now(),
  created_by text not null,
  -- what every client that pulls there is told
  warning text check (length(warning) between 1 and 200),
  -- whether old clients that know nothing newer get images as Docker schema 1
  convert_to_schema1 boolean not null default false,
  -- Of a host: it serves nothing itself; what is pulled below its base path comes from a remote into a repository with a distribution of
  -- its own, which came `via` this one.
  pull_through jsonb,
  via uuid references distribution on delete cascade,
  listed_bytes integer generated always as (
    1500 + coalesce(octet_length(warning), 0) + coalesce(octet_length(pull_through::text), 0)
  ) stored,
  -- a version that a distribution pins cannot be deleted
  foreign key (repository_id, version) references version (repository_id, number),
  constraint distribution_serves check (
    (repository_id is null) = (pull_through is not null) and (pull_through is null or (version is null and via is null)))
);
create index distribution_repository on distribution (repository_id);
create index distribution_via on distribution (via) where via is not null;

-- Traces for followers that were away.
create table deleted_distribution (
  id uuid primary key,
  base_path text not null,
  repository_id uuid,
  revision bigint not null,
  deleted_at timestamptz not null default now()
);

-- Pulls

-- When something was pulled last, as registries tell in batches; of a repository and not of a version, so that a tag keeps it.
create table tag_pull (
  repository_id uuid not null references repository on delete cascade,
  name text collate "C" not null,
  pulled_at timestamptz not null,
  primary key (repository_id, name)
);
create table manifest_pull (
  repository_id uuid not null references repository on delete cascade,
  digest text not null,
  pulled_at timestamptz not null,
  primary key (repository_id, digest)
);

-- Several replicas may ask upstream about one tag at once: one that asked before another one's answer was taken over may come with what
-- is older, and asks again (docs/decisions/0019).
create sequence pull_order;
create table pulled_tag (
  repository_id uuid not null references repository on delete cascade,
  name text collate "C" not null,
  -- when upstream's last answer was taken over, or found to be what is here
  answered bigint not null,
  primary key (repository_id, name)
);

-- Stages: large changes are put aside in parts and committed at once

create table stage (
  id text primary key,
  fence bigint not null,
  state text not null check (state in ('open', 'committed', 'closed')),
  reply jsonb,
  touched_at timestamptz not null default now()
);

-- A staged tag without a digest stays as it is, with all that hangs on it.
create table stage_tag (
  stage text not null references stage on delete cascade,
  name text collate "C" not null,
  digest text,
  primary key (stage, name)
);
create index stage_tag_digest on stage_tag (digest);

create table stage_manifest (
  stage text not null references stage on delete cascade,
  digest text not null references manifest,
  primary key (stage, digest)
);
create index stage_manifest_digest on stage_manifest (digest);

-- Blobs that come although their manifests are whole without them: foreign layers that were fetched.
create table stage_blob (
  stage text not null references stage on delete cascade,
  digest text not null,
  primary key (stage, digest)
);

-- Children of indexes that a stage leaves out: its commit neither asks for them nor puts them in.
create table stage_omission (
  stage text not null references stage on delete cascade,
  manifest text not null,
  child text not null,
  primary key (stage, manifest, child)
);

-- Atomic signatures that come with the manifests of a sync.
create table stage_signature (
  stage text not null references stage on delete cascade,
  name text collate "C" not null,
  digest text not null,
  content text not null,
  primary key (stage, name)
);
