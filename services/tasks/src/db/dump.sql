-- Schema "tasks" as its migrations and functions make it, from the system catalogs; to be read and compared, not to be run.
-- BERTH_TEST_WRITE_DOCS=true npm test -- e2e/start/schemas.test.ts writes it.

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
  constraint task_resource_pkey PRIMARY KEY (task, resource),
  constraint task_resource_resource_check CHECK (resource <> ''::text),
  constraint task_resource_task_fkey FOREIGN KEY (task) REFERENCES task(id) ON DELETE CASCADE
)
CREATE INDEX task_resource_by_name ON task_resource USING btree (resource)

function text_bytes(p_texts text[]) returns integer language sql immutable
