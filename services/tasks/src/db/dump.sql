-- Schema "tasks" as its migrations and functions make it, from the system catalogs; to be read and compared, not to be run.
-- BERTH_TEST_WRITE_DOCS=true npm test -- e2e/start/schemas.test.ts writes it.

table audit (
  at timestamp with time zone not null,
  service text not null,
  number bigint not null,
  request_id text not null,
  action text not null,
  actor_id uuid,
  actor text not null,
  object_kind text not null,
  object_id text,
  object text,
  detail text,
  namespace text collate "C",
  result text not null,
  count integer not null,
  address text,
  constraint audit_pkey PRIMARY KEY (at, service, number, request_id)
)
CREATE INDEX audit_by_actor ON ONLY audit USING btree (actor_id, at)
CREATE INDEX audit_by_actor_name ON ONLY audit USING btree (actor, at)
CREATE INDEX audit_by_namespace ON ONLY audit USING btree (namespace, at)
CREATE INDEX audit_by_object ON ONLY audit USING btree (object, at)
CREATE INDEX audit_by_object_id ON ONLY audit USING btree (object_id, at)
CREATE TRIGGER audit_is_kept BEFORE DELETE OR UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION keep_audit()
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION keep_audit()

table audit_outbox (
  number bigint not null generated always as identity,
  at timestamp with time zone not null default clock_timestamp(),
  entry jsonb not null,
  constraint audit_outbox_pkey PRIMARY KEY (number)
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

table event_log (
  id bigint not null,
  source text not null,
  type text not null,
  tail text not null,
  object_kind text,
  object_id uuid,
  object_name text collate "C",
  object_owner uuid,
  remote_id uuid,
  remote_name text collate "C",
  remote_owner uuid,
  account_id uuid,
  task_id uuid,
  repositories text[] not null,
  event jsonb not null,
  event_bytes integer not null,
  logged_at timestamp with time zone not null default now(),
  constraint event_log_pkey PRIMARY KEY (id)
)

table event_log_head (
  only_row boolean not null default true,
  last bigint not null,
  constraint event_log_head_pkey PRIMARY KEY (only_row),
  constraint event_log_head_only_row_check CHECK (only_row)
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

table schedule (
  id uuid not null default gen_random_uuid(),
  name text collate "C" not null,
  cron text not null,
  time_zone text not null,
  kind text not null,
  parameters jsonb not null,
  paused boolean not null default false,
  paused_because text,
  overlap text not null default 'skip'::text,
  missed text not null default 'once'::text,
  jitter_seconds integer not null default 0,
  run_as_id uuid,
  run_as text not null,
  owner_id uuid,
  next_at timestamp with time zone,
  queued boolean not null default false,
  created_by text not null,
  created_by_id uuid,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  constraint schedule_pkey PRIMARY KEY (id),
  constraint schedule_missed_check CHECK (missed = ANY (ARRAY['once'::text, 'skip'::text])),
  constraint schedule_name_check CHECK (name <> ''::text),
  constraint schedule_name_key UNIQUE (name),
  constraint schedule_overlap_check CHECK (overlap = ANY (ARRAY['skip'::text, 'queue'::text]))
)
CREATE INDEX schedule_by_account ON schedule USING btree (run_as_id)
CREATE INDEX schedule_due ON schedule USING btree (next_at) WHERE next_at IS NOT NULL AND NOT paused
CREATE INDEX schedule_queued ON schedule USING btree (id) WHERE queued AND NOT paused

table schedule_defaults (
  single boolean not null default true,
  made_at timestamp with time zone not null default now(),
  constraint schedule_defaults_pkey PRIMARY KEY (single),
  constraint schedule_defaults_single_check CHECK (single)
)

table schedule_run (
  id bigint not null generated always as identity,
  schedule_id uuid not null,
  due_at timestamp with time zone not null,
  started_at timestamp with time zone not null default now(),
  state text not null,
  task uuid not null default gen_random_uuid(),
  has_task boolean not null default false,
  error jsonb,
  tries integer not null default 0,
  try_at timestamp with time zone not null default now(),
  finished_at timestamp with time zone,
  constraint schedule_run_pkey PRIMARY KEY (id),
  constraint schedule_run_schedule_id_fkey FOREIGN KEY (schedule_id) REFERENCES schedule(id) ON DELETE CASCADE,
  constraint schedule_run_state_check CHECK (state = ANY (ARRAY['starting'::text, 'running'::text, 'completed'::text, 'failed'::text, 'cancelled'::text, 'skipped'::text]))
)
CREATE INDEX schedule_run_by_schedule ON schedule_run USING btree (schedule_id, id)
CREATE INDEX schedule_run_by_task ON schedule_run USING btree (task) WHERE state = 'running'::text
CREATE INDEX schedule_run_starting ON schedule_run USING btree (try_at) WHERE state = 'starting'::text

table task (
  id uuid not null,
  seq bigint not null generated always as identity,
  kind text not null,
  parent uuid,
  state text not null default 'waiting'::text,
  payload jsonb not null,
  resources text[] not null default '{}'::text[],
  progress jsonb not null default '[]'::jsonb,
  result jsonb,
  error jsonb,
  attempt integer not null default 0,
  fence bigint not null default 0,
  worker text,
  lease_until timestamp with time zone,
  cancel_requested boolean not null default false,
  actor text not null,
  created_at timestamp with time zone not null default now(),
  started_at timestamp with time zone,
  finished_at timestamp with time zone,
  furthest bigint not null default 0,
  stuck integer not null default 0,
  put_back integer not null default 0,
  not_before timestamp with time zone,
  listed_bytes integer generated always as (500 + text_bytes(resources) + octet_length(progress::text) + COALESCE(octet_length(result::text), 0) + COALESCE(octet_length(error::text), 0)) stored,
  actor_id uuid,
  exclusive_resources text[],
  retry_of uuid,
  failed_only boolean not null default false,
  log_lines integer not null default 0,
  traceparent text,
  constraint task_pkey PRIMARY KEY (id),
  constraint task_finished_at_its_end CHECK ((state = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text])) = (finished_at IS NOT NULL)),
  constraint task_kind_check CHECK (kind <> ''::text),
  constraint task_leased_while_running CHECK ((state = 'running'::text) = (lease_until IS NOT NULL AND worker IS NOT NULL)),
  constraint task_parent_fkey FOREIGN KEY (parent) REFERENCES task(id),
  constraint task_seq_key UNIQUE (seq),
  constraint task_state_check CHECK (state = ANY (ARRAY['waiting'::text, 'running'::text, 'completed'::text, 'failed'::text, 'cancelled'::text]))
)
CREATE INDEX task_by_actor ON task USING btree (actor_id, seq)
CREATE INDEX task_by_end ON task USING btree (finished_at) WHERE finished_at IS NOT NULL
CREATE INDEX task_by_kind ON task USING btree (kind, seq)
CREATE INDEX task_by_parent ON task USING btree (parent) WHERE parent IS NOT NULL
CREATE INDEX task_by_state ON task USING btree (state, seq)
CREATE INDEX task_leases ON task USING btree (lease_until) WHERE state = 'running'::text
CREATE INDEX task_waiting ON task USING btree (kind, seq) WHERE state = 'waiting'::text

table task_log (
  task uuid not null,
  fence bigint not null,
  place integer not null,
  at timestamp with time zone not null,
  level text not null,
  message text not null,
  detail text,
  constraint task_log_pkey PRIMARY KEY (task, fence, place),
  constraint task_log_check CHECK ((octet_length(message) + COALESCE(octet_length(detail), 0)) <= 4096),
  constraint task_log_level_check CHECK (level = ANY (ARRAY['info'::text, 'warn'::text, 'error'::text])),
  constraint task_log_message_check CHECK (message <> ''::text),
  constraint task_log_task_fkey FOREIGN KEY (task) REFERENCES task(id) ON DELETE CASCADE
)

table task_object (
  task uuid not null,
  place integer not null,
  kind text not null,
  object_id uuid,
  name text collate "C" not null,
  owner_id uuid,
  constraint task_object_pkey PRIMARY KEY (task, place),
  constraint task_object_kind_check CHECK (kind = ANY (ARRAY['repository'::text, 'distribution'::text, 'remote'::text])),
  constraint task_object_name_check CHECK (name <> ''::text),
  constraint task_object_task_fkey FOREIGN KEY (task) REFERENCES task(id) ON DELETE CASCADE
)

table task_resource (
  task uuid not null,
  resource text not null,
  exclusive boolean not null,
  seq bigint not null,
  constraint task_resource_pkey PRIMARY KEY (task, resource),
  constraint task_resource_resource_check CHECK (resource <> ''::text),
  constraint task_resource_task_fkey FOREIGN KEY (task) REFERENCES task(id) ON DELETE CASCADE
)
CREATE INDEX task_resource_in_order ON task_resource USING btree (resource, exclusive, seq)

table webhook (
  id uuid not null,
  name text collate "C" not null,
  url text not null,
  events text[] not null,
  repositories text[] not null,
  active boolean not null default true,
  disabled_because text,
  allow_private_addresses boolean not null default false,
  format text not null default 'cloudevents'::text,
  mode text not null default 'structured'::text,
  ca_cert text,
  sealed_secret bytea not null,
  sealed_previous bytea,
  previous_until timestamp with time zone,
  sealed_headers bytea,
  header_names text[] not null default '{}'::text[],
  account_id uuid not null,
  account text not null,
  owner_id uuid,
  origin text not null,
  since bigint not null,
  failures integer not null default 0,
  failing_since timestamp with time zone,
  created_by text not null,
  created_by_id uuid,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  constraint webhook_pkey PRIMARY KEY (id),
  constraint webhook_format_check CHECK (format = ANY (ARRAY['cloudevents'::text, 'slack'::text, 'teams'::text])),
  constraint webhook_mode_check CHECK (mode = ANY (ARRAY['structured'::text, 'binary'::text])),
  constraint webhook_name_check CHECK (name <> ''::text),
  constraint webhook_name_key UNIQUE (name)
)
CREATE INDEX webhook_active ON webhook USING btree (id) WHERE active

table webhook_delivery (
  id uuid not null default gen_random_uuid(),
  seq bigint not null generated always as identity,
  webhook_id uuid not null,
  event bigint,
  type text not null,
  replay_of uuid,
  state text not null default 'waiting'::text,
  tries integer not null default 0,
  next_at timestamp with time zone not null default now(),
  lease uuid,
  leased_until timestamp with time zone,
  status integer,
  error text,
  created_at timestamp with time zone not null default now(),
  finished_at timestamp with time zone,
  constraint webhook_delivery_pkey PRIMARY KEY (id),
  constraint webhook_delivery_seq_key UNIQUE (seq),
  constraint webhook_delivery_state_check CHECK (state = ANY (ARRAY['waiting'::text, 'delivered'::text, 'failed'::text])),
  constraint webhook_delivery_webhook_id_fkey FOREIGN KEY (webhook_id) REFERENCES webhook(id) ON DELETE CASCADE
)
CREATE INDEX webhook_delivery_by_webhook ON webhook_delivery USING btree (webhook_id, seq)
CREATE INDEX webhook_delivery_leased ON webhook_delivery USING btree (webhook_id) WHERE state = 'waiting'::text AND leased_until IS NOT NULL
CREATE INDEX webhook_delivery_waiting ON webhook_delivery USING btree (webhook_id, next_at) WHERE state = 'waiting'::text

table webhook_place (
  only_row boolean not null default true,
  last bigint not null,
  constraint webhook_place_pkey PRIMARY KEY (only_row),
  constraint webhook_place_only_row_check CHECK (only_row)
)

table webhook_try (
  delivery uuid not null,
  number integer not null,
  at timestamp with time zone not null default now(),
  duration_ms integer not null,
  request_headers jsonb not null,
  request_body text not null,
  status integer,
  response_headers jsonb,
  response_body text,
  error text,
  account_id uuid,
  constraint webhook_try_pkey PRIMARY KEY (delivery, number),
  constraint webhook_try_delivery_fkey FOREIGN KEY (delivery) REFERENCES webhook_delivery(id) ON DELETE CASCADE
)
CREATE INDEX webhook_try_at ON webhook_try USING btree (at)

function drop_audit_month(p_table text) returns void language plpgsql volatile

function keep_audit() returns trigger language plpgsql volatile

function make_audit_month(p_table text, p_first timestamp with time zone) returns void language plpgsql volatile

function text_bytes(p_texts text[]) returns integer language sql immutable
