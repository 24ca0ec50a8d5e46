alter table account
  -- somebody else knows it: one that the first start made, or that an administrator set
  add column must_change_password boolean not null default false;

-- Logins of the console.
create table session (
  id uuid primary key,
  -- SHA-256: the secret is 256 random bits, so nothing slower is needed
  hash bytea not null unique,
  account uuid not null references account on delete cascade,
  session_epoch bigint not null,
  created_at timestamptz not null default now(),
  -- written at most once a minute
  last_used_at timestamptz not null default now(),
  expires_at timestamptz not null,
  address text not null,
  user_agent text not null
);
create index session_by_account on session (account);
create index session_expiry on session (expires_at);

create table personal_token (
  id uuid primary key,
  account uuid not null references account on delete cascade,
  name text collate "C" not null,
  -- SHA-256, as of sessions
  hash bytea not null unique,
  -- as docker writes them; null: all that its account may do
  scopes text[],
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  -- written at most once a minute
  last_used_at timestamptz,
  constraint personal_token_name_key unique (account, name)
);
