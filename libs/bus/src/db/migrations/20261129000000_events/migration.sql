-- Events that this service announces, written in the transaction of the change that they tell of.
create table outbox (
  id uuid primary key,
  -- the order in which rows were written
  seq bigint generated always as identity,
  -- the order in which they became visible, given once they are; subscribers go by it
  position bigint unique,
  subject text not null,
  event jsonb not null,
  recorded_at timestamptz not null default now(),
  published_at timestamptz,
  -- how many bytes it has as JSON, so that a consumer that catches up reads a few at a time
  event_bytes integer generated always as (octet_length(event::text)) stored
);
create index outbox_unplaced on outbox (seq) where position is null;
create index outbox_unpublished on outbox (position) where published_at is null;

-- The last position that was given.
create table outbox_head (
  single boolean primary key default true check (single),
  position bigint not null default 0,
  -- what an operator called the last restore that was told of
  restored text
);
insert into outbox_head default values;

-- Where sequences of events were moved after a restore, so that none comes below what subscribers have seen: what had a position
-- after from_position up to until has one that is higher by so many (docs/decisions/0032).
create table outbox_jump (
  from_position bigint primary key,
  until bigint not null,
  by bigint not null,
  made_at timestamptz not null default now()
);

-- How far each consumer of this service is done with a source.
create table inbox (
  consumer text not null,
  source text not null,
  position bigint not null,
  handled_at timestamptz not null default now(),
  primary key (consumer, source)
);

-- Events that could not be handled and were set aside.
create table dead_letter (
  consumer text not null,
  event_id uuid not null,
  event jsonb not null,
  reason text not null,
  attempts integer not null,
  buried_at timestamptz not null default now(),
  primary key (consumer, event_id)
);
