-- Who changed what, and what was refused to whom, of all services. A table a month, made when its first row comes and dropped when its
-- last one is too old; rows are never changed (functions/keep-audit.sql).
create table audit (
  at timestamptz not null,
  -- the service that recorded it, and its number there
  service text not null,
  number bigint not null,
  request_id text not null,
  action text not null,
  actor_id uuid,
  actor text not null,
  object_kind text not null,
  object_id text,
  object text,
  detail text,
  namespace text collate "C",
  result text not null,
  count integer not null,
  address text,
  primary key (at, service, number, request_id)
) partition by range (at);
create index audit_by_actor on audit (actor_id, at);
create index audit_by_namespace on audit (namespace, at);
create index audit_by_object on audit (object, at);
