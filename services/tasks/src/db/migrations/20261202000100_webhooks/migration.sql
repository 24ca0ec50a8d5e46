-- Where events are sent. Deliveries are made of the log of events up to `webhook_place`, in the transaction that moves it on, so that each
-- event is sent for once, wherever a replica is killed.
create table webhook_place (
  only_row boolean primary key default true check (only_row),
  last bigint not null
);

insert into webhook_place (last)
select last from event_log_head;

create table webhook (
  id uuid primary key,
  name text collate "C" not null unique check (name <> ''),
  url text not null,
  events text[] not null,
  repositories text[] not null,
  active boolean not null default true,
  disabled_because text,
  allow_private_addresses boolean not null default false,
  format text not null default 'cloudevents' check (format in ('cloudevents', 'slack', 'teams')),
  mode text not null default 'structured' check (mode in ('structured', 'binary')),
  ca_cert text,
  sealed_secret bytea not null,
  sealed_previous bytea,
  previous_until timestamptz,
  sealed_headers bytea,
  header_names text[] not null default '{}',
  -- Whose rights decide what is sent: whoever said last what is sent where.
  account_id uuid not null,
  account text not null,
  owner_id uuid,
  -- Under what host it was made or changed, for references where no setting says another.
  origin text not null,
  -- Where the log of events ended when it was made or let go on: what was before is not sent.
  since bigint not null,
  failures integer not null default 0,
  failing_since timestamptz,
  created_by text not null,
  created_by_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create index webhook_active on webhook (id) where active;

create table webhook_delivery (
  id uuid primary key default gen_random_uuid(),
  seq bigint generated always as identity unique,
  webhook_id uuid not null references webhook (id) on delete cascade,
  -- Of event_log; null for a test.
  event bigint,
  type text not null,
  replay_of uuid,
  state text not null default 'waiting' check (state in ('waiting', 'delivered', 'failed')),
  tries integer not null default 0,
  next_at timestamptz not null default now(),
  lease uuid,
  leased_until timestamptz,
  status integer,
  error text,
  created_at timestamptz not null default now(),
  finished_at timestamptz
);

create index webhook_delivery_waiting on webhook_delivery (webhook_id, next_at) where state = 'waiting';

create index webhook_delivery_by_webhook on webhook_delivery (webhook_id, seq);

create table webhook_try (
  delivery uuid not null references webhook_delivery (id) on delete cascade,
  number integer not null,
  at timestamptz not null default now(),
  duration_ms integer not null,
  request_headers jsonb not null,
  request_body text not null,
  status integer,
  response_headers jsonb,
  response_body text,
  error text,
  primary key (delivery, number)
);

create index webhook_try_at on webhook_try (at);
