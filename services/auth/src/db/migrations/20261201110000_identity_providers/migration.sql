-- Where people log in who have no password here (OpenID Connect).
create table identity_provider (
  id uuid primary key,
  name text collate "C" not null unique,
  issuer text not null,
  client_id text not null,
  -- sealed under BERTH_SECRETS_KEY; null: a client without one
  sealed_client_secret bytea,
  scopes text[] not null,
  username_claim text not null,
  groups_claim text not null,
  create_accounts boolean not null,
  -- the keys of the issuer, instead of those that it publishes
  jwks jsonb,
  ca_cert text,
  allow_private_addresses boolean not null,
  allow_http boolean not null,
  created_at timestamptz not null default now(),
  created_by text not null,
  created_by_id uuid
);
create index identity_provider_by_issuer on identity_provider (issuer);

alter table account
  -- null: it logs in through a provider only
  alter column password_hash drop not null,
  -- who it is for a provider: never an email or a name, which others may have later
  add column issuer text,
  add column subject text,
  add column issuer_login_at timestamptz,
  add constraint account_is_external check ((issuer is null) = (subject is null) and (issuer is null) = (issuer_login_at is null)),
  add constraint account_has_login check (num_nonnulls(password_hash, issuer) > 0),
  add constraint account_external_key unique (issuer, subject);

alter table user_group
  -- its members are those whom this provider says to have this value
  add column provider_id uuid references identity_provider,
  add column external_value text collate "C",
  add constraint user_group_is_external check ((provider_id is null) = (external_value is null));
create index user_group_external on user_group (provider_id, external_value) where provider_id is not null;
