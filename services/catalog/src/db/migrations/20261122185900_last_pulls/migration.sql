-- When something was pulled last, as registries tell in batches; of a repository and not of a version, so that a tag keeps it
create table tag_pull (
  repository_id uuid not null references repository on delete cascade,
  name text collate "C" not null,
  pulled_at timestamptz not null,
  primary key (repository_id, name)
);
create table manifest_pull (
  repository_id uuid not null references repository on delete cascade,
  digest text not null,
  pulled_at timestamptz not null,
  primary key (repository_id, digest)
);
