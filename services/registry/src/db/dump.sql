-- Schema "registry" as its migrations and functions make it, from the system catalogs; to be read and compared, not to be run.
-- BERTH_TEST_WRITE_DOCS=true npm test -- e2e/start/schemas.test.ts writes it.

table audit_outbox (
  number bigint not null generated always as identity,
  at timestamp with time zone not null default clock_timestamp(),
  entry jsonb not null,
  constraint audit_outbox_pkey PRIMARY KEY (number)
)

table blob_facts (
  digest text not null,
  generation integer not null,
  size_bytes bigint not null,
  placed bigint not null default 0,
  constraint blob_facts_pkey PRIMARY KEY (digest)
)

table dead_letter (
  consumer text not null,
  event_id uuid not null,
  event jsonb not null,
  reason text not null,
  attempts integer not null,
  buried_at timestamp with time zone not null default now(),
  constraint dead_letter_pkey PRIMARY KEY (consumer, event_id)
)

table follow_wanted (
  repository_id uuid not null,
  constraint follow_wanted_pkey PRIMARY KEY (repository_id)
)

table gone_distribution (
  id uuid not null,
  revision bigint not null,
  gone_at timestamp with time zone not null default now(),
  constraint gone_distribution_pkey PRIMARY KEY (id)
)

table inbox (
  consumer text not null,
  source text not null,
  "position" bigint not null,
  handled_at timestamp with time zone not null default now(),
  constraint inbox_pkey PRIMARY KEY (consumer, source)
)

table isolated_repository (
  repository_id uuid not null,
  since timestamp with time zone not null default now(),
  failures integer not null,
  next_try_at timestamp with time zone not null,
  reason text not null,
  constraint isolated_repository_pkey PRIMARY KEY (repository_id)
)
CREATE INDEX isolated_repository_next_try ON isolated_repository USING btree (next_try_at)

table manifest_facts (
  digest text not null,
  generation integer not null,
  media_type text not null,
  size_bytes bigint not null,
  artifact_type text,
  subject text,
  annotations jsonb not null,
  envelope jsonb,
  listed_bytes integer generated always as (400 + octet_length(media_type) + COALESCE(octet_length(artifact_type), 0) + octet_length(annotations::text)) stored,
  placed bigint not null default 0,
  constraint manifest_facts_pkey PRIMARY KEY (digest)
)
CREATE INDEX manifest_facts_subject ON manifest_facts USING btree (subject) WHERE subject IS NOT NULL

table model_intact (
  token uuid not null,
  compared boolean not null default false,
  constraint model_intact_pkey PRIMARY KEY (token)
) unlogged

table namespace (
  name text collate "C" not null,
  constraint namespace_pkey PRIMARY KEY (name)
)

table outbox (
  id uuid not null,
  seq bigint not null generated always as identity,
  "position" bigint,
  subject text not null,
  event jsonb not null,
  recorded_at timestamp with time zone not null default now(),
  published_at timestamp with time zone,
  event_bytes integer generated always as (octet_length(event::text)) stored,
  constraint outbox_pkey PRIMARY KEY (id),
  constraint outbox_position_key UNIQUE ("position")
)
CREATE INDEX outbox_unplaced ON outbox USING btree (seq) WHERE "position" IS NULL
CREATE INDEX outbox_unpublished ON outbox USING btree ("position") WHERE published_at IS NULL

table outbox_head (
  single boolean not null default true,
  "position" bigint not null default 0,
  restored text,
  constraint outbox_head_pkey PRIMARY KEY (single),
  constraint outbox_head_single_check CHECK (single)
)

table outbox_jump (
  from_position bigint not null,
  until bigint not null,
  by bigint not null,
  made_at timestamp with time zone not null default now(),
  constraint outbox_jump_pkey PRIMARY KEY (from_position)
)

table pointer (
  base_path text collate "C" not null,
  distribution_id uuid not null,
  repository_id uuid not null,
  repository_name text not null,
  pinned integer,
  latest_version integer not null,
  repository_revision bigint not null,
  distribution_revision bigint not null,
  access text not null,
  redirect boolean not null,
  warning text,
  convert_to_schema1 boolean not null default false,
  via uuid,
  owner_id uuid,
  constraint pointer_pkey PRIMARY KEY (base_path),
  constraint pointer_distribution_id_key UNIQUE (distribution_id),
  constraint pointer_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES served_repository(id)
)
CREATE INDEX pointer_repository ON pointer USING btree (repository_id)

table pull_through (
  id uuid not null,
  base_path text collate "C" not null,
  host text not null,
  remote_id uuid not null,
  ttl_seconds integer not null,
  trigger jsonb not null,
  access text not null,
  revision bigint not null,
  mirror_of_root boolean not null default false,
  constraint pull_through_pkey PRIMARY KEY (id),
  constraint pull_through_base_path_key UNIQUE (base_path)
)
CREATE INDEX pull_through_host ON pull_through USING btree (host, base_path)

table schema1_key (
  single boolean not null default true,
  sealed bytea not null,
  made_at timestamp with time zone not null default now(),
  constraint schema1_key_pkey PRIMARY KEY (single),
  constraint schema1_key_single_check CHECK (single)
)

table served_blob (
  repository_id uuid not null,
  digest text not null,
  since integer not null,
  until integer,
  constraint served_blob_pkey PRIMARY KEY (repository_id, digest, since)
)
CREATE INDEX served_blob_digest ON served_blob USING btree (digest)
CREATE INDEX served_blob_over ON served_blob USING btree (repository_id) WHERE until <= since

table served_link (
  repository_id uuid not null,
  digest text not null,
  constraint served_link_pkey PRIMARY KEY (repository_id, digest)
)
CREATE INDEX served_link_digest ON served_link USING btree (digest)

table served_manifest (
  repository_id uuid not null,
  digest text not null,
  since integer not null,
  until integer,
  pushed_type text not null default ''::text,
  constraint served_manifest_pkey PRIMARY KEY (repository_id, digest, since)
)
CREATE INDEX served_manifest_digest ON served_manifest USING btree (digest)
CREATE INDEX served_manifest_over ON served_manifest USING btree (repository_id) WHERE until <= since

table served_repository (
  id uuid not null,
  name text collate "C" not null default ''::text,
  revision bigint not null default 0,
  latest_version integer not null default 0,
  constraint served_repository_pkey PRIMARY KEY (id)
)

table served_signature (
  repository_id uuid not null,
  name text collate "C" not null,
  since integer not null,
  until integer,
  digest text not null,
  content text not null,
  constraint served_signature_pkey PRIMARY KEY (repository_id, name, since)
)
CREATE INDEX served_signature_digest ON served_signature USING btree (digest, repository_id)
CREATE INDEX served_signature_over ON served_signature USING btree (repository_id) WHERE until <= since

table served_tag (
  repository_id uuid not null,
  name text collate "C" not null,
  since integer not null,
  until integer,
  digest text not null,
  constraint served_tag_pkey PRIMARY KEY (repository_id, name, since)
) with (fillfactor=50)

table store_identity (
  is_only boolean not null default true,
  id uuid not null,
  constraint store_identity_pkey PRIMARY KEY (is_only),
  constraint store_identity_is_only_check CHECK (is_only)
)

table token_key (
  kid text not null,
  jwk jsonb not null,
  constraint token_key_pkey PRIMARY KEY (kid)
)

table upload_part (
  session uuid not null,
  start_offset bigint not null,
  part jsonb not null,
  constraint upload_part_pkey PRIMARY KEY (session, start_offset),
  constraint upload_part_session_fkey FOREIGN KEY (session) REFERENCES upload_session(id) ON DELETE CASCADE
)

table upload_session (
  id uuid not null,
  repository text not null,
  subject text not null,
  offset_bytes bigint not null default 0,
  fence integer not null default 0,
  state text not null default 'open'::text,
  digest text,
  created_at timestamp with time zone not null default now(),
  touched_at timestamp with time zone not null default now(),
  constraint upload_session_pkey PRIMARY KEY (id),
  constraint upload_session_state_check CHECK (state = ANY (ARRAY['open'::text, 'committed'::text, 'dropped'::text]))
)
CREATE INDEX upload_session_open ON upload_session USING btree (subject) WHERE state = 'open'::text
CREATE INDEX upload_session_touched ON upload_session USING btree (touched_at)

function apply_change(p_repository uuid, p_head jsonb, p_rows jsonb) returns text language plpgsql volatile

function move_head(p_repository uuid, p_head jsonb) returns void language plpgsql volatile

function write_rows(p_repository uuid, p_rows jsonb) returns void language plpgsql volatile
