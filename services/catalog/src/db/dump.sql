-- Schema "catalog" as its migrations and functions make it, from the system catalogs; to be read and compared, not to be run.
-- BERTH_TEST_WRITE_DOCS=true npm test -- e2e/start/schemas.test.ts writes it.

table audit_outbox (
  number bigint not null generated always as identity,
  at timestamp with time zone not null default clock_timestamp(),
  entry jsonb not null,
  constraint audit_outbox_pkey PRIMARY KEY (number)
)

table blob (
  digest text not null,
  generation integer not null default 1,
  size_bytes bigint,
  state text not null,
  created_at timestamp with time zone not null default now(),
  candidate_since timestamp with time zone,
  marked_at timestamp with time zone,
  damage text,
  checked_at timestamp with time zone,
  lone_writer text,
  placed bigint not null default nextval('blob_generation'::regclass),
  constraint blob_pkey PRIMARY KEY (digest),
  constraint blob_check CHECK (state <> 'present'::text OR size_bytes IS NOT NULL),
  constraint blob_damage_check CHECK (damage = ANY (ARRAY['missing'::text, 'rotten'::text, 'healed'::text])),
  constraint blob_remote_size CHECK (state <> 'remote'::text OR size_bytes IS NOT NULL),
  constraint blob_state_check CHECK (state = ANY (ARRAY['writing'::text, 'present'::text, 'removing'::text, 'remote'::text]))
)
CREATE INDEX blob_candidate ON blob USING btree (digest) WHERE candidate_since IS NOT NULL
CREATE INDEX blob_damaged ON blob USING btree (digest) WHERE damage IS NOT NULL
CREATE INDEX blob_remote ON blob USING btree (digest) WHERE state = 'remote'::text
CREATE INDEX blob_removing ON blob USING btree (digest) WHERE state = 'removing'::text
CREATE TRIGGER blob_healed BEFORE UPDATE OF state ON blob FOR EACH ROW WHEN ((old.state = ANY (ARRAY['writing'::text, 'remote'::text])) AND new.state = 'present'::text AND (old.damage IS NOT NULL OR old.state = 'remote'::text AND old.generation <> new.generation)) EXECUTE FUNCTION heal_blob()
CREATE TRIGGER blob_placed BEFORE UPDATE OF generation ON blob FOR EACH ROW WHEN (old.generation <> new.generation) EXECUTE FUNCTION note_place()

table blob_interval (
  repository_id uuid not null,
  digest text not null,
  since integer not null,
  until integer,
  revision bigint not null,
  constraint blob_interval_pkey PRIMARY KEY (repository_id, digest, since),
  constraint blob_interval_check CHECK (until >= since),
  constraint blob_interval_digest_fkey FOREIGN KEY (digest) REFERENCES blob(digest)
)
CREATE INDEX blob_interval_digest ON blob_interval USING btree (digest)
CREATE UNIQUE INDEX blob_open ON blob_interval USING btree (repository_id, digest) WHERE until IS NULL
CREATE INDEX blob_over ON blob_interval USING btree (repository_id, since) WHERE until <= since
CREATE INDEX blob_revision ON blob_interval USING btree (repository_id, revision) WHERE revision > 0

table blob_link (
  repository_id uuid not null,
  digest text not null,
  linked boolean not null,
  linked_at timestamp with time zone not null default now(),
  revision bigint not null default 0,
  kept_until timestamp with time zone,
  constraint blob_link_pkey PRIMARY KEY (repository_id, digest),
  constraint blob_link_digest_fkey FOREIGN KEY (digest) REFERENCES blob(digest),
  constraint blob_link_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES repository(id) ON DELETE CASCADE
)
CREATE INDEX blob_link_digest ON blob_link USING btree (digest)
CREATE INDEX blob_link_revision ON blob_link USING btree (repository_id, revision) WHERE revision > 0

table command (
  id text not null,
  reply jsonb not null,
  done_at timestamp with time zone not null default now(),
  constraint command_pkey PRIMARY KEY (id)
)
CREATE INDEX command_done ON command USING btree (done_at)

table dead_letter (
  consumer text not null,
  event_id uuid not null,
  event jsonb not null,
  reason text not null,
  attempts integer not null,
  buried_at timestamp with time zone not null default now(),
  constraint dead_letter_pkey PRIMARY KEY (consumer, event_id)
)

table deleted_distribution (
  id uuid not null,
  base_path text not null,
  repository_id uuid,
  revision bigint not null,
  deleted_at timestamp with time zone not null default now(),
  constraint deleted_distribution_pkey PRIMARY KEY (id)
)

table deleted_repository (
  id uuid not null,
  name text not null,
  deleted_at timestamp with time zone not null default now(),
  constraint deleted_repository_pkey PRIMARY KEY (id)
)

table distribution (
  id uuid not null default gen_random_uuid(),
  name text collate "C" not null,
  base_path text collate "C" not null,
  repository_id uuid,
  version integer,
  access text not null,
  redirect boolean not null default false,
  revision bigint not null default nextval('distribution_revision'::regclass),
  created_at timestamp with time zone not null default now(),
  created_by text not null,
  warning text,
  convert_to_schema1 boolean not null default false,
  pull_through jsonb,
  via uuid,
  listed_bytes integer generated always as (1500 + COALESCE(octet_length(warning), 0) + COALESCE(octet_length(pull_through::text), 0)) stored,
  owner_id uuid,
  created_by_id uuid,
  changed_by text,
  changed_by_id uuid,
  constraint distribution_pkey PRIMARY KEY (id),
  constraint distribution_access_check CHECK (access = ANY (ARRAY['public'::text, 'private'::text])),
  constraint distribution_base_path_key UNIQUE (base_path),
  constraint distribution_mirror_is_open CHECK (NOT pull_through @> '{"mirrorOfRoot": true}'::jsonb OR access = 'public'::text AND (pull_through ->> 'trigger'::text) = 'anonymous'::text),
  constraint distribution_name_key UNIQUE (name),
  constraint distribution_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES repository(id),
  constraint distribution_repository_id_version_fkey FOREIGN KEY (repository_id, version) REFERENCES version(repository_id, number),
  constraint distribution_serves CHECK ((repository_id IS NULL) = (pull_through IS NOT NULL) AND (pull_through IS NULL OR version IS NULL AND via IS NULL)),
  constraint distribution_via_fkey FOREIGN KEY (via) REFERENCES distribution(id) ON DELETE CASCADE,
  constraint distribution_warning_check CHECK (length(warning) >= 1 AND length(warning) <= 200)
)
CREATE UNIQUE INDEX distribution_mirror_of_root ON distribution USING btree ((true)) WHERE pull_through @> '{"mirrorOfRoot": true}'::jsonb
CREATE INDEX distribution_owner ON distribution USING btree (owner_id) WHERE owner_id IS NOT NULL
CREATE INDEX distribution_repository ON distribution USING btree (repository_id)
CREATE INDEX distribution_via ON distribution USING btree (via) WHERE via IS NOT NULL
CREATE TRIGGER distribution_made AFTER INSERT ON distribution FOR EACH ROW EXECUTE FUNCTION note_pointing()
CREATE TRIGGER distribution_pointed AFTER UPDATE OF repository_id, version ON distribution FOR EACH ROW WHEN (old.repository_id IS DISTINCT FROM new.repository_id OR old.version IS DISTINCT FROM new.version) EXECUTE FUNCTION note_pointing()

table distribution_history (
  distribution_id uuid not null,
  number bigint not null generated always as identity,
  since timestamp with time zone not null,
  repository_id uuid not null,
  repository_name text collate "C" not null,
  version integer,
  cause text,
  changed_by text,
  changed_by_id uuid,
  constraint distribution_history_pkey PRIMARY KEY (distribution_id, number),
  constraint distribution_history_cause_check CHECK (cause = ANY (ARRAY['create'::text, 'promote'::text]))
)
CREATE INDEX distribution_history_repository ON distribution_history USING btree (repository_id)
CREATE INDEX distribution_history_since ON distribution_history USING btree (since)

table export (
  id uuid not null,
  seq bigint not null generated always as identity,
  task_id uuid not null,
  state text not null default 'waiting'::text,
  target text not null,
  path text,
  chunk_bytes bigint,
  selector text,
  with_distributions boolean not null,
  is_signed boolean not null,
  has_place boolean not null default false,
  index_digest text,
  archive_digest text,
  archive_bytes bigint,
  blobs bigint,
  blob_bytes bigint,
  parts jsonb not null default '[]'::jsonb,
  error jsonb,
  created_at timestamp with time zone not null default now(),
  created_by text not null,
  created_by_id uuid,
  started_at timestamp with time zone,
  finished_at timestamp with time zone,
  kept_until timestamp with time zone,
  with_chart_images boolean not null default false,
  constraint export_pkey PRIMARY KEY (id),
  constraint export_chunk_bytes_check CHECK (chunk_bytes > 0),
  constraint export_seq_key UNIQUE (seq),
  constraint export_state_check CHECK (state = ANY (ARRAY['waiting'::text, 'running'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])),
  constraint export_target_check CHECK (target = ANY (ARRAY['download'::text, 'directory'::text, 'bucket'::text])),
  constraint export_task_id_key UNIQUE (task_id)
)
CREATE INDEX export_creator ON export USING btree (created_by_id, seq)
CREATE INDEX export_finished ON export USING btree (finished_at) WHERE finished_at IS NOT NULL
CREATE INDEX export_kept ON export USING btree (kept_until) WHERE kept_until IS NOT NULL
CREATE INDEX export_open ON export USING btree (created_at) WHERE state = ANY (ARRAY['waiting'::text, 'running'::text])

table export_member (
  export_id uuid not null,
  name text collate "C" not null,
  digest text not null,
  generation bigint not null,
  size_bytes bigint not null,
  begins_at bigint,
  constraint export_member_pkey PRIMARY KEY (export_id, name),
  constraint export_member_export_id_fkey FOREIGN KEY (export_id) REFERENCES export(id) ON DELETE CASCADE
)
CREATE INDEX export_member_place ON export_member USING btree (export_id, begins_at)

table export_repository (
  export_id uuid not null,
  name text collate "C" not null,
  repository_id uuid not null,
  number integer not null,
  content_hash text not null,
  since integer,
  since_hash text,
  facts integer[] not null default '{}'::integer[],
  constraint export_repository_pkey PRIMARY KEY (export_id, repository_id),
  constraint export_repository_export_id_fkey FOREIGN KEY (export_id) REFERENCES export(id) ON DELETE CASCADE
)

table forgotten_trace (
  repository_id uuid not null,
  revision bigint not null,
  constraint forgotten_trace_pkey PRIMARY KEY (repository_id)
)

table gc_run (
  id uuid not null default gen_random_uuid(),
  cause text not null,
  task_id uuid,
  grace_seconds integer not null,
  thorough boolean not null,
  started_at timestamp with time zone not null default now(),
  finished_at timestamp with time zone,
  result jsonb,
  error text,
  constraint gc_run_pkey PRIMARY KEY (id),
  constraint gc_run_cause_check CHECK (cause = ANY (ARRAY['interval'::text, 'request'::text]))
)
CREATE INDEX gc_run_started ON gc_run USING btree (started_at DESC, id DESC)

table import_job (
  id uuid not null default gen_random_uuid(),
  source text not null,
  path text,
  state text not null default 'open'::text,
  task_id uuid,
  result jsonb,
  error jsonb,
  unpacked boolean not null default false,
  created_by text not null,
  created_by_id uuid,
  created_at timestamp with time zone not null default now(),
  touched_at timestamp with time zone not null default now(),
  finished_at timestamp with time zone,
  constraint import_job_pkey PRIMARY KEY (id),
  constraint import_job_check CHECK ((source = 'directory'::text) = (path IS NOT NULL)),
  constraint import_job_source_check CHECK (source = ANY (ARRAY['directory'::text, 'upload'::text])),
  constraint import_job_state_check CHECK (state = ANY (ARRAY['open'::text, 'running'::text, 'completed'::text, 'failed'::text]))
)
CREATE INDEX import_job_idle ON import_job USING btree (touched_at)
CREATE INDEX import_job_listed ON import_job USING btree (created_at, id)
CREATE INDEX import_job_running ON import_job USING btree (created_at) WHERE state = 'running'::text

table import_origin (
  repository_id uuid not null,
  version integer not null,
  installation uuid not null,
  origin_repository uuid not null,
  origin_name text not null,
  origin_version integer not null,
  content_hash text not null,
  imported_at timestamp with time zone not null default now(),
  constraint import_origin_pkey PRIMARY KEY (repository_id, version),
  constraint import_origin_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES repository(id) ON DELETE CASCADE
)
CREATE INDEX import_origin_base ON import_origin USING btree (installation, origin_repository, origin_version)

table import_piece (
  import_id uuid not null,
  part integer not null,
  start_offset bigint not null,
  size_bytes bigint not null,
  digest text not null,
  generation bigint not null,
  constraint import_piece_pkey PRIMARY KEY (import_id, part, start_offset),
  constraint import_piece_import_id_fkey FOREIGN KEY (import_id) REFERENCES import_job(id) ON DELETE CASCADE,
  constraint import_piece_size_bytes_check CHECK (size_bytes > 0)
)

table import_verified (
  import_id uuid not null,
  digest text not null,
  times integer not null default 1,
  constraint import_verified_pkey PRIMARY KEY (import_id, digest),
  constraint import_verified_import_id_fkey FOREIGN KEY (import_id) REFERENCES import_job(id) ON DELETE CASCADE
)

table inbox (
  consumer text not null,
  source text not null,
  "position" bigint not null,
  handled_at timestamp with time zone not null default now(),
  constraint inbox_pkey PRIMARY KEY (consumer, source)
)

table lease (
  digest text not null,
  holder text not null,
  expires_at timestamp with time zone not null,
  repository_id uuid,
  constraint lease_pkey PRIMARY KEY (digest, holder),
  constraint lease_digest_fkey FOREIGN KEY (digest) REFERENCES blob(digest) ON DELETE CASCADE
)
CREATE INDEX lease_expiry ON lease USING btree (expires_at)
CREATE INDEX lease_holder ON lease USING btree (holder)

table manifest (
  digest text not null,
  media_type text not null,
  is_index boolean not null,
  size_bytes bigint not null,
  artifact_type text,
  subject text,
  annotations jsonb not null default '{}'::jsonb,
  created_at timestamp with time zone not null default now(),
  envelope text,
  facts jsonb,
  config_unread boolean not null default true,
  listed_bytes integer generated always as (500 + octet_length(annotations::text) + COALESCE(octet_length(facts::text), 0)) stored,
  constraint manifest_pkey PRIMARY KEY (digest),
  constraint manifest_digest_fkey FOREIGN KEY (digest) REFERENCES blob(digest),
  constraint manifest_envelope_fkey FOREIGN KEY (envelope) REFERENCES blob(digest)
)
CREATE INDEX manifest_config_unread ON manifest USING btree (digest) WHERE config_unread
CREATE INDEX manifest_envelope ON manifest USING btree (envelope) WHERE envelope IS NOT NULL
CREATE INDEX manifest_subject ON manifest USING btree (subject) WHERE subject IS NOT NULL
CREATE TRIGGER manifest_renamed AFTER UPDATE OF digest ON manifest FOR EACH ROW WHEN (old.digest IS DISTINCT FROM new.digest) EXECUTE FUNCTION manifest_has_no_tags()
CREATE TRIGGER manifest_untagged AFTER DELETE ON manifest FOR EACH ROW EXECUTE FUNCTION manifest_has_no_tags()
CREATE STATISTICS catalog.manifest_kind ON (facts ->> 'kind'::text) FROM manifest

table manifest_interval (
  repository_id uuid not null,
  digest text not null,
  since integer not null,
  until integer,
  revision bigint not null,
  opened_at timestamp with time zone not null default now(),
  pushed_type text not null default ''::text,
  constraint manifest_interval_pkey PRIMARY KEY (repository_id, digest, since),
  constraint manifest_interval_check CHECK (until >= since),
  constraint manifest_interval_digest_fkey FOREIGN KEY (digest) REFERENCES manifest(digest)
)
CREATE INDEX manifest_interval_digest ON manifest_interval USING btree (digest)
CREATE UNIQUE INDEX manifest_open ON manifest_interval USING btree (repository_id, digest) WHERE until IS NULL
CREATE INDEX manifest_over ON manifest_interval USING btree (repository_id, since) WHERE until <= since
CREATE INDEX manifest_revision ON manifest_interval USING btree (repository_id, revision) WHERE revision > 0

table manifest_pull (
  repository_id uuid not null,
  digest text not null,
  pulled_at timestamp with time zone not null,
  constraint manifest_pull_pkey PRIMARY KEY (repository_id, digest),
  constraint manifest_pull_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES repository(id) ON DELETE CASCADE
)

table manifest_reference (
  manifest text not null,
  place integer not null,
  role text not null,
  child text not null,
  media_type text not null,
  size_bytes bigint not null,
  optional boolean not null,
  platform jsonb,
  constraint manifest_reference_pkey PRIMARY KEY (manifest, place),
  constraint manifest_reference_manifest_fkey FOREIGN KEY (manifest) REFERENCES manifest(digest) ON DELETE CASCADE,
  constraint manifest_reference_role_check CHECK (role = ANY (ARRAY['config'::text, 'layer'::text, 'manifest'::text, 'subject'::text]))
)
CREATE INDEX manifest_reference_child ON manifest_reference USING btree (child)

table namespace (
  id uuid not null default gen_random_uuid(),
  name text collate "C" not null,
  default_access text not null default 'private'::text,
  labels jsonb not null default '{}'::jsonb,
  retention jsonb,
  created_at timestamp with time zone not null default now(),
  created_by text not null,
  quota_bytes bigint,
  used_bytes bigint not null default 0,
  counted_at timestamp with time zone,
  listed_bytes integer generated always as (500 + octet_length(labels::text) + COALESCE(octet_length(retention::text), 0)) stored,
  created_by_id uuid,
  audit_pulls boolean not null default false,
  build_egress boolean not null default false,
  constraint namespace_pkey PRIMARY KEY (id),
  constraint namespace_default_access_check CHECK (default_access = ANY (ARRAY['public'::text, 'private'::text])),
  constraint namespace_name_key UNIQUE (name),
  constraint namespace_quota_bytes_check CHECK (quota_bytes >= 0)
)
CREATE INDEX namespace_audits_pulls ON namespace USING btree (name) WHERE audit_pulls

table namespace_blob (
  namespace_id uuid not null,
  digest text not null,
  size_bytes bigint not null,
  constraint namespace_blob_pkey PRIMARY KEY (namespace_id, digest),
  constraint namespace_blob_namespace_id_fkey FOREIGN KEY (namespace_id) REFERENCES namespace(id) ON DELETE CASCADE
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

table pulled_tag (
  repository_id uuid not null,
  name text collate "C" not null,
  answered bigint not null,
  constraint pulled_tag_pkey PRIMARY KEY (repository_id, name),
  constraint pulled_tag_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES repository(id) ON DELETE CASCADE
)

table repository (
  id uuid not null default gen_random_uuid(),
  name text collate "C" not null,
  description text not null default ''::text,
  labels jsonb not null default '{}'::jsonb,
  latest_version integer not null default 0,
  revision bigint not null default 1,
  loose_since timestamp with time zone,
  created_at timestamp with time zone not null default now(),
  created_by text not null,
  immutable_tags text[] not null default '{}'::text[],
  sparse_indexes boolean not null default false,
  retain_versions integer,
  retention jsonb,
  content_of integer,
  lately_read integer[] not null default '{}'::integer[],
  signatures jsonb,
  listed_bytes integer generated always as (800 + octet_length(description) + octet_length(labels::text) + COALESCE(octet_length(retention::text), 0) + COALESCE(octet_length(signatures::text), 0)) stored,
  pulled_from jsonb,
  owner_id uuid,
  created_by_id uuid,
  constraint repository_pkey PRIMARY KEY (id),
  constraint repository_content_of FOREIGN KEY (id, content_of) REFERENCES version(repository_id, number),
  constraint repository_name_key UNIQUE (name),
  constraint repository_retain_versions_check CHECK (retain_versions > 0),
  constraint repository_unsettled_is_whole CHECK (content_of IS NULL OR loose_since IS NULL)
)
CREATE INDEX repository_labels ON repository USING gin (labels)
CREATE INDEX repository_lately_read ON repository USING btree (id) WHERE lately_read <> '{}'::integer[]
CREATE INDEX repository_loose ON repository USING btree (loose_since) WHERE loose_since IS NOT NULL
CREATE INDEX repository_namespace ON repository USING btree (split_part(name, '/'::text, 1), name)
CREATE INDEX repository_owner ON repository USING btree (owner_id) WHERE owner_id IS NOT NULL
CREATE INDEX repository_unsettled ON repository USING btree (id) WHERE content_of IS NOT NULL
CREATE TRIGGER repository_forgets_content BEFORE DELETE ON repository FOR EACH ROW EXECUTE FUNCTION forget_content()
CREATE TRIGGER repository_settled BEFORE UPDATE OF latest_version ON repository FOR EACH ROW WHEN (old.content_of IS NOT NULL AND new.content_of IS NOT NULL AND new.latest_version <> old.latest_version) EXECUTE FUNCTION refuse_unsettled()

table scrub_round (
  id uuid not null default gen_random_uuid(),
  started_at timestamp with time zone not null default now(),
  finished_at timestamp with time zone,
  holder uuid not null,
  lease_until timestamp with time zone not null,
  checked bigint not null default 0,
  checked_bytes bigint not null default 0,
  damaged bigint not null default 0,
  constraint scrub_round_pkey PRIMARY KEY (id)
)
CREATE UNIQUE INDEX scrub_round_open ON scrub_round USING btree ((true)) WHERE finished_at IS NULL
CREATE INDEX scrub_round_started ON scrub_round USING btree (started_at DESC)

table signature_interval (
  repository_id uuid not null,
  name text collate "C" not null,
  since integer not null,
  until integer,
  digest text not null,
  content text not null,
  revision bigint not null,
  constraint signature_interval_pkey PRIMARY KEY (repository_id, name, since),
  constraint signature_interval_check CHECK (until >= since),
  constraint signature_interval_digest_fkey FOREIGN KEY (digest) REFERENCES manifest(digest) ON DELETE CASCADE
)
CREATE INDEX signature_interval_digest ON signature_interval USING btree (digest, repository_id)
CREATE UNIQUE INDEX signature_open ON signature_interval USING btree (repository_id, name) WHERE until IS NULL
CREATE INDEX signature_over ON signature_interval USING btree (repository_id, since) WHERE until <= since
CREATE INDEX signature_revision ON signature_interval USING btree (repository_id, revision) WHERE revision > 0

table stage (
  id text not null,
  fence bigint not null,
  state text not null,
  reply jsonb,
  touched_at timestamp with time zone not null default now(),
  constraint stage_pkey PRIMARY KEY (id),
  constraint stage_state_check CHECK (state = ANY (ARRAY['open'::text, 'committed'::text, 'closed'::text]))
)

table stage_blob (
  stage text not null,
  digest text not null,
  constraint stage_blob_pkey PRIMARY KEY (stage, digest),
  constraint stage_blob_stage_fkey FOREIGN KEY (stage) REFERENCES stage(id) ON DELETE CASCADE
)

table stage_manifest (
  stage text not null,
  digest text not null,
  pushed_type text not null default ''::text,
  constraint stage_manifest_pkey PRIMARY KEY (stage, digest),
  constraint stage_manifest_digest_fkey FOREIGN KEY (digest) REFERENCES manifest(digest),
  constraint stage_manifest_stage_fkey FOREIGN KEY (stage) REFERENCES stage(id) ON DELETE CASCADE
)
CREATE INDEX stage_manifest_digest ON stage_manifest USING btree (digest)

table stage_omission (
  stage text not null,
  manifest text not null,
  child text not null,
  constraint stage_omission_pkey PRIMARY KEY (stage, manifest, child),
  constraint stage_omission_stage_fkey FOREIGN KEY (stage) REFERENCES stage(id) ON DELETE CASCADE
)

table stage_signature (
  stage text not null,
  name text collate "C" not null,
  digest text not null,
  content text not null,
  constraint stage_signature_pkey PRIMARY KEY (stage, name),
  constraint stage_signature_stage_fkey FOREIGN KEY (stage) REFERENCES stage(id) ON DELETE CASCADE
)

table stage_tag (
  stage text not null,
  name text collate "C" not null,
  digest text,
  constraint stage_tag_pkey PRIMARY KEY (stage, name),
  constraint stage_tag_stage_fkey FOREIGN KEY (stage) REFERENCES stage(id) ON DELETE CASCADE
)
CREATE INDEX stage_tag_digest ON stage_tag USING btree (digest)

table store_identity (
  is_only boolean not null default true,
  id uuid not null default gen_random_uuid(),
  mark uuid not null default gen_random_uuid(),
  next_mark uuid not null default gen_random_uuid(),
  constraint store_identity_pkey PRIMARY KEY (is_only),
  constraint store_identity_is_only_check CHECK (is_only)
)

table tag_history (
  repository_id uuid not null,
  name text collate "C" not null,
  since integer not null,
  until integer not null,
  digest text not null,
  opened_at timestamp with time zone not null,
  constraint tag_history_pkey PRIMARY KEY (repository_id, name, since),
  constraint tag_history_check CHECK (until > since)
)

table tag_interval (
  repository_id uuid not null,
  name text collate "C" not null,
  since integer not null,
  until integer,
  digest text not null,
  revision bigint not null,
  opened_at timestamp with time zone not null default now(),
  constraint tag_interval_pkey PRIMARY KEY (repository_id, name, since),
  constraint tag_interval_check CHECK (until >= since)
)
CREATE INDEX tag_interval_of_digest ON tag_interval USING btree (digest, repository_id)
CREATE UNIQUE INDEX tag_open ON tag_interval USING btree (repository_id, name) WHERE until IS NULL
CREATE INDEX tag_over ON tag_interval USING btree (repository_id, since) WHERE until <= since
CREATE INDEX tag_revision ON tag_interval USING btree (repository_id, revision) WHERE revision > 0
CREATE TRIGGER tag_interval_moved AFTER UPDATE OF digest ON tag_interval FOR EACH ROW WHEN (old.digest IS DISTINCT FROM new.digest) EXECUTE FUNCTION tag_has_manifest()
CREATE TRIGGER tag_interval_opened AFTER INSERT ON tag_interval REFERENCING NEW TABLE AS opened FOR EACH STATEMENT EXECUTE FUNCTION tags_have_manifests()

table tag_pull (
  repository_id uuid not null,
  name text collate "C" not null,
  pulled_at timestamp with time zone not null,
  constraint tag_pull_pkey PRIMARY KEY (repository_id, name),
  constraint tag_pull_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES repository(id) ON DELETE CASCADE
)

table version (
  repository_id uuid not null,
  number integer not null,
  base integer not null,
  cause text not null,
  created_at timestamp with time zone not null default now(),
  created_by text not null,
  task_id uuid,
  revision bigint not null,
  present jsonb not null,
  added jsonb not null,
  removed jsonb not null,
  content_hash text not null,
  part_of integer,
  created_by_id uuid,
  constraint version_pkey PRIMARY KEY (repository_id, number),
  constraint version_number_check CHECK (number >= 0),
  constraint version_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES repository(id) ON DELETE CASCADE
)
CREATE INDEX version_rolled_back ON version USING btree (repository_id, revision) WHERE cause = 'rollback'::text
CREATE INDEX version_time ON version USING btree (repository_id, created_at) WHERE number >= 0

table version_history (
  repository_id uuid not null,
  number integer not null,
  cause text not null,
  created_at timestamp with time zone not null,
  created_by text not null,
  created_by_id uuid,
  gone_at timestamp with time zone not null default now(),
  constraint version_history_pkey PRIMARY KEY (repository_id, number)
)
CREATE INDEX version_history_gone ON version_history USING btree (gone_at)
CREATE INDEX version_history_time ON version_history USING btree (repository_id, created_at) WHERE number >= 0

sequence blob_generation bigint start 1 increment 1 minimum 1 maximum 9223372036854775807 cache 1

sequence distribution_revision bigint start 1 increment 1 minimum 1 maximum 9223372036854775807 cache 1

sequence pull_order bigint start 1 increment 1 minimum 1 maximum 9223372036854775807 cache 1

function charge_namespace(p_name text, p_digests text[]) returns TABLE(used_bytes bigint, quota_bytes bigint) language plpgsql volatile

function fetch_page(p_cursor text, p_rows integer, p_bytes bigint) returns SETOF jsonb language plpgsql volatile

function forget_content() returns trigger language plpgsql volatile

function heal_blob() returns trigger language plpgsql volatile

function keep_blob(p_repository text, p_digest text, p_holder text, p_seconds integer) returns TABLE(generation integer, size_bytes bigint) language plpgsql volatile

function keep_for_push(p_repository uuid, p_digest text, p_holder text, p_seconds integer) returns TABLE(generation bigint, size_bytes bigint) language plpgsql volatile

function lease_blobs(p_digests text[], p_holder text, p_seconds integer) returns TABLE(digest text, generation integer, state text, size_bytes bigint, is_new boolean, is_alone boolean) language plpgsql volatile

function lease_digests(p_digests text[], p_holder text, p_seconds integer) returns TABLE(digest text, generation bigint, state text, size_bytes bigint, is_new boolean, is_alone boolean) language plpgsql volatile

function link_blob(p_repository text, p_digest text, p_generation integer, p_size bigint, p_holder text, p_seconds integer) returns TABLE(id uuid, name text, revision bigint, latest_version integer, used_bytes bigint, quota_bytes bigint) language plpgsql volatile

function manifest_has_no_tags() returns trigger language plpgsql volatile

function note_place() returns trigger language plpgsql volatile

function note_pointing() returns trigger language plpgsql volatile

function place_blob(p_digest text, p_generation bigint, p_size bigint) returns TABLE(generation bigint, size_bytes bigint, healed boolean) language plpgsql volatile

function push_blob(p_repository uuid, p_digest text, p_generation bigint, p_size bigint, p_keep_seconds double precision) returns TABLE(generation bigint, size_bytes bigint, healed boolean, used_bytes bigint, quota_bytes bigint) language plpgsql volatile

function recount_namespace(p_name text) returns bigint language plpgsql volatile

function refuse_unsettled() returns trigger language plpgsql volatile

function store_command(p_id text, p_reply jsonb, p_timeout_ms double precision) returns void language plpgsql volatile

function tag_has_manifest() returns trigger language plpgsql volatile

function tags_have_manifests() returns trigger language plpgsql volatile

function take_generations(p_count integer) returns SETOF bigint language sql volatile
