create table account (
  id uuid primary key,
  name text not null unique check (name <> '' and name <> '<token>' and position(':' in name) = 0),
  -- argon2id in PHC form
  password_hash text not null,
  is_admin boolean not null default false,
  -- grows when everything that was issued to the account before has to end
  session_epoch bigint not null default 0,
  created_at timestamptz not null default now()
);

create table signing_key (
  kid text primary key check (kid ~ '^[A-Za-z0-9_-]{1,64}$'),
  -- PKCS #8, sealed with AES-256-GCM under BERTH_SECRETS_KEY: nonce, tag, ciphertext
  sealed_private_key bytea not null,
  public_jwk jsonb not null,
  -- next: published but not used yet; signing; retired: still published until its tokens have run out
  state text not null check (state in ('next', 'signing', 'retired')),
  created_at timestamptz not null default now(),
  retired_at timestamptz,
  constraint signing_key_retired_has_time check ((state = 'retired') = (retired_at is not null))
);
create unique index signing_key_one_a_state on signing_key (state) where state <> 'retired';

create table refresh_token (
  -- SHA-256: the token is 256 random bits, so nothing slower is needed
  hash bytea primary key,
  account uuid not null references account on delete cascade,
  session_epoch bigint not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  last_used_at timestamptz
);
create index refresh_token_by_account on refresh_token (account);
create index refresh_token_expiry on refresh_token (expires_at);

-- Attempts to log in that failed or are under way, for the limits per account and per network.
create table login_attempt (
  id uuid primary key,
  name text not null,
  -- an address of IPv4, or a /64 of IPv6
  network text not null,
  at timestamptz not null default now(),
  -- the /48 around a network of IPv6
  site text not null
);
create index login_attempt_by_time on login_attempt (at);

-- The last password that was right for an account, as an HMAC under a key that the database does not have.
create table known_login (
  account uuid primary key references account on delete cascade,
  mark bytea not null,
  at timestamptz not null default now()
);
