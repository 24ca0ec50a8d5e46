-- What is carried away: what was asked for, what became of it, and where the members of an archive lie for as long as it is kept.
create table export (
  id uuid primary key,
  seq bigint not null generated always as identity unique,
  task_id uuid not null unique,
  state text not null default 'waiting' check (state in ('waiting', 'running', 'completed', 'failed', 'cancelled')),
  target text not null check (target in ('download', 'directory', 'bucket')),
  path text,
  chunk_bytes bigint check (chunk_bytes > 0),
  selector text,
  with_distributions boolean not null,
  is_signed boolean not null,
  -- Whether its place was found free: what lies there since then is its own.
  has_place boolean not null default false,
  index_digest text,
  archive_digest text,
  archive_bytes bigint,
  blobs bigint,
  blob_bytes bigint,
  parts jsonb not null default '[]',
  error jsonb,
  created_at timestamptz not null default now(),
  created_by text not null,
  created_by_id uuid,
  started_at timestamptz,
  finished_at timestamptz,
  -- Until then a download is kept; null once it is gone, and where none was asked for.
  kept_until timestamptz
);
create index export_open on export (created_at) where state in ('waiting', 'running');
create index export_finished on export (finished_at) where finished_at is not null;
create index export_kept on export (kept_until) where kept_until is not null;
create index export_creator on export (created_by_id, seq);

-- Kept as long as the export, so that a later one can carry only what came since; the repository may be gone by then.
create table export_repository (
  export_id uuid not null references export on delete cascade,
  name text collate "C" not null,
  repository_id uuid not null,
  number integer not null,
  content_hash text not null,
  since integer,
  since_hash text,
  -- Older versions that were named too.
  facts integer[] not null default '{}',
  primary key (export_id, repository_id)
);

create table export_member (
  export_id uuid not null references export on delete cascade,
  name text collate "C" not null,
  digest text not null,
  generation bigint not null,
  size_bytes bigint not null,
  -- Where its header begins in the archive; null until all members are known.
  begins_at bigint,
  primary key (export_id, name)
);
create index export_member_place on export_member (export_id, begins_at);
