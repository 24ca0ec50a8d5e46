-- An import: where its archive lies, who brought it, and how the last task of it ended.
create table import_job (
  id uuid primary key default gen_random_uuid(),
  source text not null check (source in ('directory', 'upload')),
  -- Below the directory for transfers; of an upload null.
  path text,
  state text not null default 'open' check (state in ('open', 'running', 'completed', 'failed')),
  task_id uuid,
  result jsonb,
  error jsonb,
  -- Whether part -1 is the whole archive without its compression.
  unpacked boolean not null default false,
  created_by text not null,
  created_by_id uuid,
  created_at timestamptz not null default now(),
  touched_at timestamptz not null default now(),
  finished_at timestamptz,
  check ((source = 'directory') = (path is not null))
);
create index import_job_listed on import_job (created_at, id);
create index import_job_running on import_job (created_at) where state = 'running';
create index import_job_idle on import_job (touched_at);

-- What was uploaded, piece by piece: each is a blob of the store that the import leases. Part -1 is what Berth has unpacked.
create table import_piece (
  import_id uuid not null references import_job on delete cascade,
  part integer not null,
  start_offset bigint not null,
  size_bytes bigint not null check (size_bytes > 0),
  digest text not null,
  generation bigint not null,
  primary key (import_id, part, start_offset)
);

-- Digests whose bytes were read out of the archive and are right: an import that goes on reads none of them again. `times` counts.
create table import_verified (
  import_id uuid not null references import_job on delete cascade,
  digest text not null,
  times integer not null default 1,
  primary key (import_id, digest)
);

-- Which version of another installation a version here is.
create table import_origin (
  repository_id uuid not null references repository on delete cascade,
  version integer not null,
  installation uuid not null,
  origin_repository uuid not null,
  origin_name text not null,
  origin_version integer not null,
  content_hash text not null,
  imported_at timestamptz not null default now(),
  primary key (repository_id, version)
);
create index import_origin_base on import_origin (installation, origin_repository, origin_version);

-- The type that a staged manifest is served with, where its bytes leave that open.
alter table stage_manifest add column pushed_type text not null default '';
