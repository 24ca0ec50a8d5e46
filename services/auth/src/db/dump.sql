-- Schema "auth" as its migrations and functions make it, from the system catalogs; to be read and compared, not to be run.
-- BERTH_TEST_WRITE_DOCS=true npm test -- e2e/start/schemas.test.ts writes it.

table account (
  id uuid not null,
  name text not null,
  password_hash text not null,
  is_admin boolean not null default false,
  session_epoch bigint not null default 0,
  created_at timestamp with time zone not null default now(),
  constraint account_pkey PRIMARY KEY (id),
  constraint account_name_check CHECK (name <> ''::text AND name <> '<token>'::text AND POSITION((':'::text) IN (name)) = 0),
  constraint account_name_key UNIQUE (name)
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

table known_login (
  account uuid not null,
  mark bytea not null,
  at timestamp with time zone not null default now(),
  constraint known_login_pkey PRIMARY KEY (account),
  constraint known_login_account_fkey FOREIGN KEY (account) REFERENCES account(id) ON DELETE CASCADE
)

table login_attempt (
  id uuid not null,
  name text not null,
  network text not null,
  at timestamp with time zone not null default now(),
  site text not null,
  constraint login_attempt_pkey PRIMARY KEY (id)
)
CREATE INDEX login_attempt_by_time ON login_attempt USING btree (at)

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

table refresh_token (
  hash bytea not null,
  account uuid not null,
  session_epoch bigint not null,
  created_at timestamp with time zone not null default now(),
  expires_at timestamp with time zone not null,
  last_used_at timestamp with time zone,
  constraint refresh_token_pkey PRIMARY KEY (hash),
  constraint refresh_token_account_fkey FOREIGN KEY (account) REFERENCES account(id) ON DELETE CASCADE
)
CREATE INDEX refresh_token_by_account ON refresh_token USING btree (account)
CREATE INDEX refresh_token_expiry ON refresh_token USING btree (expires_at)

table signing_key (
  kid text not null,
  sealed_private_key bytea not null,
  public_jwk jsonb not null,
  state text not null,
  created_at timestamp with time zone not null default now(),
  retired_at timestamp with time zone,
  constraint signing_key_pkey PRIMARY KEY (kid),
  constraint signing_key_kid_check CHECK (kid ~ '^[A-Za-z0-9_-]{1,64}$'::text),
  constraint signing_key_retired_has_time CHECK ((state = 'retired'::text) = (retired_at IS NOT NULL)),
  constraint signing_key_state_check CHECK (state = ANY (ARRAY['next'::text, 'signing'::text, 'retired'::text]))
)
CREATE UNIQUE INDEX signing_key_one_a_state ON signing_key USING btree (state) WHERE state <> 'retired'::text
