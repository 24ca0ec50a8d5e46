-- Base paths below which content comes from a remote when it is first pulled, with what catalog says of them.
create table pull_through (
  id uuid primary key,
  base_path text collate "C" not null unique,
  host text not null,
  remote_id uuid not null,
  ttl_seconds integer not null,
  trigger jsonb not null,
  access text not null,
  revision bigint not null
);
create index pull_through_host on pull_through (host, base_path);

-- By which of them a distribution came. No foreign key: the two are told of in any order.
alter table pointer add column via uuid;
