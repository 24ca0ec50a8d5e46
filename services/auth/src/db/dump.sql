-- Schema "auth" as its migrations and functions make it, from the system catalogs; to be read and compared, not to be run.
-- BERTH_TEST_WRITE_DOCS=true npm test -- e2e/start/schemas.test.ts writes it.

table access_grant (
  id uuid not null,
  seq bigint not null generated always as identity,
  holder_id uuid not null,
  role text,
  custom_role_id uuid,
  everything boolean not null default false,
  prefix text collate "C",
  namespace text collate "C",
  object_id uuid,
  created_at timestamp with time zone not null default now(),
  created_by text not null,
  created_by_id uuid,
  constraint access_grant_pkey PRIMARY KEY (id),
  constraint access_grant_custom_role_id_fkey FOREIGN KEY (custom_role_id) REFERENCES custom_role(id),
  constraint access_grant_has_role CHECK (num_nonnulls(role, custom_role_id) = 1),
  constraint access_grant_holder_id_fkey FOREIGN KEY (holder_id) REFERENCES holder(id) ON DELETE CASCADE,
  constraint access_grant_namespace_check CHECK (namespace <> ''::text),
  constraint access_grant_object_id_fkey FOREIGN KEY (object_id) REFERENCES object(id),
  constraint access_grant_on_one CHECK ((everything::integer + num_nonnulls(prefix, namespace, object_id)) = 1),
  constraint access_grant_once UNIQUE NULLS NOT DISTINCT (holder_id, role, custom_role_id, prefix, namespace, object_id),
  constraint access_grant_prefix_check CHECK (prefix ~~ '_%/'::text),
  constraint access_grant_seq_key UNIQUE (seq)
)
CREATE INDEX access_grant_of_role ON access_grant USING btree (custom_role_id) WHERE custom_role_id IS NOT NULL
CREATE INDEX access_grant_on_object ON access_grant USING btree (object_id) WHERE object_id IS NOT NULL

table account (
  id uuid not null,
  name text collate "C" not null,
  password_hash text,
  is_admin boolean not null default false,
  session_epoch bigint not null default 0,
  created_at timestamp with time zone not null default now(),
  is_active boolean not null default true,
  must_change_password boolean not null default false,
  issuer text,
  subject text,
  issuer_login_at timestamp with time zone,
  constraint account_pkey PRIMARY KEY (id),
  constraint account_external_key UNIQUE (issuer, subject),
  constraint account_has_login CHECK (num_nonnulls(password_hash, issuer) > 0),
  constraint account_holder_fkey FOREIGN KEY (id, name) REFERENCES holder(id, name) ON DELETE CASCADE,
  constraint account_is_external CHECK ((issuer IS NULL) = (subject IS NULL) AND (issuer IS NULL) = (issuer_login_at IS NULL)),
  constraint account_name_check CHECK (name <> ''::text AND name <> '<token>'::text AND POSITION((':'::text) IN (name)) = 0),
  constraint account_name_key UNIQUE (name)
)

table audit_outbox (
  number bigint not null generated always as identity,
  at timestamp with time zone not null default clock_timestamp(),
  entry jsonb not null,
  constraint audit_outbox_pkey PRIMARY KEY (number)
)

table custom_role (
  id uuid not null,
  name text collate "C" not null,
  verbs text[] not null,
  created_at timestamp with time zone not null default now(),
  created_by text not null,
  created_by_id uuid,
  constraint custom_role_pkey PRIMARY KEY (id),
  constraint custom_role_name_key UNIQUE (name)
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

table group_member (
  group_id uuid not null,
  member_id uuid not null,
  constraint group_member_pkey PRIMARY KEY (group_id, member_id),
  constraint group_member_group_id_fkey FOREIGN KEY (group_id) REFERENCES user_group(id) ON DELETE CASCADE,
  constraint group_member_member_id_fkey FOREIGN KEY (member_id) REFERENCES holder(id) ON DELETE CASCADE
)
CREATE INDEX group_member_of ON group_member USING btree (member_id)

table holder (
  id uuid not null,
  kind text not null,
  name text collate "C" not null,
  constraint holder_pkey PRIMARY KEY (id),
  constraint holder_id_name_key UNIQUE (id, name),
  constraint holder_kind_check CHECK (kind = ANY (ARRAY['user'::text, 'group'::text, 'robot'::text])),
  constraint holder_name_check CHECK (name <> ''::text AND name <> '<token>'::text AND POSITION((':'::text) IN (name)) = 0),
  constraint holder_name_key UNIQUE (name)
)

table identity_provider (
  id uuid not null,
  name text collate "C" not null,
  issuer text not null,
  client_id text not null,
  sealed_client_secret bytea,
  scopes text[] not null,
  username_claim text not null,
  groups_claim text not null,
  create_accounts boolean not null,
  jwks jsonb,
  ca_cert text,
  allow_private_addresses boolean not null,
  allow_http boolean not null,
  created_at timestamp with time zone not null default now(),
  created_by text not null,
  created_by_id uuid,
  constraint identity_provider_pkey PRIMARY KEY (id),
  constraint identity_provider_name_key UNIQUE (name)
)
CREATE INDEX identity_provider_by_issuer ON identity_provider USING btree (issuer)

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

table object (
  id uuid not null,
  kind text not null,
  name text collate "C" not null,
  repository_id uuid,
  via_id uuid,
  owner_id uuid,
  told_at timestamp with time zone not null default clock_timestamp(),
  constraint object_pkey PRIMARY KEY (id),
  constraint object_kind_check CHECK (kind = ANY (ARRAY['repository'::text, 'distribution'::text, 'remote'::text]))
)
CREATE INDEX object_by_name ON object USING btree (kind, name)
CREATE INDEX object_of_host ON object USING btree (name) WHERE kind = 'distribution'::text AND repository_id IS NULL

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

table personal_token (
  id uuid not null,
  account uuid not null,
  name text collate "C" not null,
  hash bytea not null,
  scopes text[],
  created_at timestamp with time zone not null default now(),
  expires_at timestamp with time zone,
  last_used_at timestamp with time zone,
  constraint personal_token_pkey PRIMARY KEY (id),
  constraint personal_token_account_fkey FOREIGN KEY (account) REFERENCES account(id) ON DELETE CASCADE,
  constraint personal_token_hash_key UNIQUE (hash),
  constraint personal_token_name_key UNIQUE (account, name)
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

table robot (
  id uuid not null,
  name text collate "C" not null,
  namespace text collate "C",
  description text not null default ''::text,
  secret_hash bytea not null,
  secret_made_at timestamp with time zone not null default now(),
  previous_hash bytea,
  previous_until timestamp with time zone,
  expires_at timestamp with time zone,
  last_used_at timestamp with time zone,
  told_days integer,
  session_epoch bigint not null default 0,
  created_at timestamp with time zone not null default now(),
  created_by text not null,
  created_by_id uuid,
  constraint robot_pkey PRIMARY KEY (id),
  constraint robot_holder_fkey FOREIGN KEY (id, name) REFERENCES holder(id, name) ON DELETE CASCADE,
  constraint robot_name_has_namespace CHECK (
CASE
    WHEN namespace IS NULL THEN POSITION(('/'::text) IN (name)) = 0
    ELSE starts_with(name, namespace || '/'::text)
END),
  constraint robot_name_key UNIQUE (name),
  constraint robot_previous_ends CHECK ((previous_hash IS NULL) = (previous_until IS NULL))
)
CREATE INDEX robot_by_end ON robot USING btree (expires_at) WHERE expires_at IS NOT NULL
CREATE INDEX robot_by_namespace ON robot USING btree (namespace, name)

table session (
  id uuid not null,
  hash bytea not null,
  account uuid not null,
  session_epoch bigint not null,
  created_at timestamp with time zone not null default now(),
  last_used_at timestamp with time zone not null default now(),
  expires_at timestamp with time zone not null,
  address text not null,
  user_agent text not null,
  constraint session_pkey PRIMARY KEY (id),
  constraint session_account_fkey FOREIGN KEY (account) REFERENCES account(id) ON DELETE CASCADE,
  constraint session_hash_key UNIQUE (hash)
)
CREATE INDEX session_by_account ON session USING btree (account)
CREATE INDEX session_expiry ON session USING btree (expires_at)

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

table trust (
  id uuid not null,
  name text collate "C" not null,
  issuer text not null,
  audience text not null,
  claims jsonb not null,
  robot_id uuid not null,
  jwks jsonb,
  ca_cert text,
  allow_private_addresses boolean not null,
  allow_http boolean not null,
  created_at timestamp with time zone not null default now(),
  last_used_at timestamp with time zone,
  created_by text not null,
  created_by_id uuid,
  constraint trust_pkey PRIMARY KEY (id),
  constraint trust_name_check CHECK (name <> ''::text AND POSITION((':'::text) IN (name)) = 0),
  constraint trust_name_key UNIQUE (name),
  constraint trust_robot_id_fkey FOREIGN KEY (robot_id) REFERENCES robot(id) ON DELETE CASCADE
)
CREATE INDEX trust_by_issuer ON trust USING btree (issuer)
CREATE INDEX trust_of_robot ON trust USING btree (robot_id)

table user_group (
  id uuid not null,
  name text collate "C" not null,
  created_at timestamp with time zone not null default now(),
  created_by text,
  created_by_id uuid,
  provider_id uuid,
  external_value text collate "C",
  constraint user_group_pkey PRIMARY KEY (id),
  constraint user_group_holder_fkey FOREIGN KEY (id, name) REFERENCES holder(id, name) ON DELETE CASCADE,
  constraint user_group_is_external CHECK ((provider_id IS NULL) = (external_value IS NULL)),
  constraint user_group_name_key UNIQUE (name),
  constraint user_group_provider_id_fkey FOREIGN KEY (provider_id) REFERENCES identity_provider(id)
)
CREATE INDEX user_group_external ON user_group USING btree (provider_id, external_value) WHERE provider_id IS NOT NULL
