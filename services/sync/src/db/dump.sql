-- Schema "sync" as its migrations and functions make it, from the system catalogs; to be read and compared, not to be run.
-- BERTH_TEST_WRITE_DOCS=true npm test -- e2e/start/schemas.test.ts writes it.

table audit_outbox (
  number bigint not null generated always as identity,
  at timestamp with time zone not null default clock_timestamp(),
  entry jsonb not null,
  constraint audit_outbox_pkey PRIMARY KEY (number)
)

table content_source (
  digest text not null,
  remote_id uuid not null,
  upstream_repository text not null,
  seen_at timestamp with time zone not null default now(),
  given_at timestamp with time zone,
  constraint content_source_pkey PRIMARY KEY (digest, remote_id, upstream_repository),
  constraint content_source_remote_id_fkey FOREIGN KEY (remote_id) REFERENCES remote(id) ON DELETE CASCADE
)
CREATE INDEX content_source_remote ON content_source USING btree (remote_id)

table dead_letter (
  consumer text not null,
  event_id uuid not null,
  event jsonb not null,
  reason text not null,
  attempts integer not null,
  buried_at timestamp with time zone not null default now(),
  constraint dead_letter_pkey PRIMARY KEY (consumer, event_id)
)

table fetch_claim (
  digest text not null,
  owner uuid not null,
  address text,
  deadline timestamp with time zone not null,
  constraint fetch_claim_pkey PRIMARY KEY (digest)
)

table inbox (
  consumer text not null,
  source text not null,
  "position" bigint not null,
  handled_at timestamp with time zone not null default now(),
  constraint inbox_pkey PRIMARY KEY (consumer, source)
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

table remote (
  id uuid not null default gen_random_uuid(),
  name text collate "C" not null,
  url text not null,
  upstream_name text,
  policy text not null,
  include_tags text[] not null default '{}'::text[],
  exclude_tags text[] not null default '{}'::text[],
  username text,
  sealed_password bytea,
  sealed_token bytea,
  tls_validation boolean not null default true,
  ca_cert text,
  concurrency integer not null default 8,
  retries integer not null default 5,
  allow_private_addresses boolean not null default false,
  created_at timestamp with time zone not null default now(),
  created_by text not null,
  updated_at timestamp with time zone not null default now(),
  upstream_names text[] not null default '{}'::text[],
  target_prefix text,
  platforms text[] not null default '{}'::text[],
  client_cert text,
  sealed_client_key bytea,
  proxy_url text,
  proxy_username text,
  sealed_proxy_password bytea,
  header_names text[] not null default '{}'::text[],
  sealed_headers bytea,
  token_hosts text[] not null default '{}'::text[],
  rate_limit double precision,
  timeouts jsonb,
  include_foreign_layers boolean not null default false,
  signatures jsonb,
  listed_bytes integer generated always as (2000 + octet_length(url) + text_bytes(upstream_names) + text_bytes(include_tags) + text_bytes(exclude_tags) + text_bytes(platforms) + text_bytes(token_hosts) + text_bytes(header_names) + COALESCE(octet_length(ca_cert), 0) + COALESCE(octet_length(client_cert), 0) + COALESCE(octet_length(signatures::text), 0) + COALESCE(octet_length(timeouts::text), 0)) stored,
  redirect_hosts text[] not null default '{}'::text[],
  owner_id uuid,
  created_by_id uuid,
  constraint remote_pkey PRIMARY KEY (id),
  constraint remote_client_pair CHECK ((client_cert IS NULL) = (sealed_client_key IS NULL)),
  constraint remote_concurrency_check CHECK (concurrency >= 1 AND concurrency <= 64),
  constraint remote_headers_named CHECK ((sealed_headers IS NULL) = (cardinality(header_names) = 0)),
  constraint remote_name_key UNIQUE (name),
  constraint remote_one_or_many CHECK (upstream_name IS NULL OR cardinality(upstream_names) = 0),
  constraint remote_policy_check CHECK (policy = ANY (ARRAY['immediate'::text, 'on_demand'::text, 'streamed'::text])),
  constraint remote_rate_limit_check CHECK (rate_limit > 0::double precision),
  constraint remote_retries_check CHECK (retries >= 0 AND retries <= 20),
  constraint remote_target_of_many CHECK ((target_prefix IS NOT NULL) = (cardinality(upstream_names) > 0))
)

table set_aside_remote (
  remote_id uuid not null,
  until timestamp with time zone not null,
  reason text not null,
  constraint set_aside_remote_pkey PRIMARY KEY (remote_id),
  constraint set_aside_remote_remote_id_fkey FOREIGN KEY (remote_id) REFERENCES remote(id) ON DELETE CASCADE
)

table store_identity (
  is_only boolean not null default true,
  id uuid not null,
  constraint store_identity_pkey PRIMARY KEY (is_only),
  constraint store_identity_is_only_check CHECK (is_only)
)

table sync_run (
  id uuid not null,
  task_id uuid not null,
  remote_id uuid not null,
  remote_name text not null,
  repository_id uuid,
  repository_name text not null,
  mode text not null,
  state text not null default 'waiting'::text,
  actor text not null,
  result jsonb,
  error jsonb,
  created_at timestamp with time zone not null default now(),
  started_at timestamp with time zone,
  finished_at timestamp with time zone,
  force boolean not null default false,
  on_error text not null default 'fail'::text,
  dry_run boolean not null default false,
  upstream_name text,
  parent_task uuid,
  companions_asked boolean not null default false,
  listed_bytes integer generated always as (1500 + COALESCE(octet_length(result::text), 0) + COALESCE(octet_length(error::text), 0)) stored,
  actor_id uuid,
  only_tags text[] not null default '{}'::text[],
  constraint sync_run_pkey PRIMARY KEY (id),
  constraint sync_run_mode_check CHECK (mode = ANY (ARRAY['additive'::text, 'mirror'::text])),
  constraint sync_run_on_error_check CHECK (on_error = ANY (ARRAY['fail'::text, 'skip'::text])),
  constraint sync_run_state_check CHECK (state = ANY (ARRAY['waiting'::text, 'running'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])),
  constraint sync_run_task_id_key UNIQUE (task_id)
)
CREATE INDEX sync_run_companions ON sync_run USING btree (remote_id, repository_id, started_at) WHERE companions_asked
CREATE INDEX sync_run_created ON sync_run USING btree (created_at, id)
CREATE INDEX sync_run_parent ON sync_run USING btree (parent_task) WHERE parent_task IS NOT NULL
CREATE INDEX sync_run_success ON sync_run USING btree (remote_id, finished_at) WHERE state = 'completed'::text AND NOT dry_run
CREATE INDEX sync_run_unended ON sync_run USING btree (created_at, id) WHERE state = ANY (ARRAY['waiting'::text, 'running'::text])

function text_bytes(p_texts text[]) returns integer language sql immutable
