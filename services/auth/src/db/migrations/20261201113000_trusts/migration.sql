-- Whose tokens stand for the secret of a robot: those of an issuer, of whom they say what is asked.
create table trust (
  id uuid primary key,
  -- the user name that goes with such a token
  name text collate "C" not null unique check (name <> '' and position(':' in name) = 0),
  issuer text not null,
  audience text not null,
  -- by claim, the values of which it has to have one
  claims jsonb not null,
  robot_id uuid not null references robot on delete cascade,
  jwks jsonb,
  ca_cert text,
  allow_private_addresses boolean not null,
  allow_http boolean not null,
  created_at timestamptz not null default now(),
  -- written at most once a minute
  last_used_at timestamptz,
  created_by text not null,
  created_by_id uuid
);
create index trust_by_issuer on trust (issuer);
create index trust_of_robot on trust (robot_id);
