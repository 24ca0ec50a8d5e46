-- Rounds in which all stored bytes are looked at, by themselves. One at a time, by one replica at a time: whose lease runs out
-- is followed by another, which goes on where `checked_at` of the blobs says that the round is.
create table scrub_round (
  id uuid primary key default gen_random_uuid(),
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  holder uuid not null,
  lease_until timestamptz not null,
  checked bigint not null default 0,
  checked_bytes bigint not null default 0,
  damaged bigint not null default 0
);
create unique index scrub_round_open on scrub_round ((true)) where finished_at is null;
create index scrub_round_started on scrub_round (started_at desc);
