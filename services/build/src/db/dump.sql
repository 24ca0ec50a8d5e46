-- Schema "build" as its migrations and functions make it, from the system catalogs; to be read and compared, not to be run.
-- BERTH_TEST_WRITE_DOCS=true npm test -- e2e/start/schemas.test.ts writes it.

table audit_outbox (
  number bigint not null generated always as identity,
  at timestamp with time zone not null default clock_timestamp(),
  entry jsonb not null,
  constraint audit_outbox_pkey PRIMARY KEY (number)
)

table build (
  id uuid not null,
  seq bigint not null generated always as identity,
  repository text not null,
  tag text not null,
  state text not null default 'waiting'::text,
  task_id uuid,
  version integer,
  created_at timestamp with time zone not null default now(),
  created_by text not null,
  finished_at timestamp with time zone,
  created_by_id uuid,
  repository_id uuid,
  owner_id uuid,
  tags text[] not null default '{}'::text[],
  platforms text[] not null default '{}'::text[],
  target text,
  network text not null default 'none'::text,
  no_cache boolean not null default false,
  digest text,
  result jsonb,
  error jsonb,
  started_at timestamp with time zone,
  log_lines bigint not null default 0,
  log_bytes bigint not null default 0,
  log_cut boolean not null default false,
  constraint build_pkey PRIMARY KEY (id),
  constraint build_finished_at_its_end CHECK ((state = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text])) = (finished_at IS NOT NULL)),
  constraint build_network_check CHECK (network = ANY (ARRAY['none'::text, 'egress'::text])),
  constraint build_repository_check CHECK (repository <> ''::text),
  constraint build_seq_key UNIQUE (seq),
  constraint build_state_check CHECK (state = ANY (ARRAY['waiting'::text, 'running'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])),
  constraint build_tag_check CHECK (tag <> ''::text)
)
CREATE INDEX build_by_creator ON build USING btree (created_by_id, seq)
CREATE INDEX build_by_repository ON build USING btree (repository, seq)
CREATE INDEX build_by_task ON build USING btree (task_id)
CREATE INDEX build_unended ON build USING btree (created_at, id) WHERE state = ANY (ARRAY['waiting'::text, 'running'::text])

table build_input (
  build_id uuid not null,
  containerfile text not null,
  build_args jsonb not null default '{}'::jsonb,
  labels jsonb not null default '{}'::jsonb,
  source_date_epoch bigint not null default 0,
  host text not null,
  context_digest text,
  context_generation bigint,
  context_bytes bigint,
  secrets_sealed bytea,
  constraint build_input_pkey PRIMARY KEY (build_id),
  constraint build_input_build_id_fkey FOREIGN KEY (build_id) REFERENCES build(id) ON DELETE CASCADE
)

table build_log (
  build_id uuid not null,
  line bigint not null,
  at timestamp with time zone not null,
  step text,
  stream text not null,
  text text not null,
  constraint build_log_pkey PRIMARY KEY (build_id, line),
  constraint build_log_build_id_fkey FOREIGN KEY (build_id) REFERENCES build(id) ON DELETE CASCADE,
  constraint build_log_stream_check CHECK (stream = ANY (ARRAY['stdout'::text, 'stderr'::text]))
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

table store_identity (
  is_only boolean not null default true,
  id uuid not null,
  constraint store_identity_pkey PRIMARY KEY (is_only),
  constraint store_identity_is_only_check CHECK (is_only)
)
