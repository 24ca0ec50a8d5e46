-- What was served, from when to when, and who changed it (docs/decisions/0044). None of these refers to what it tells of: it outlives it.

-- Who changed a distribution last; null: nobody since it was made.
alter table distribution
add column changed_by text,
add column changed_by_id uuid;

-- What a distribution was pointed at, a row for each change. It holds until the next row of the distribution begins.
create table distribution_history (
  distribution_id uuid not null,
  number bigint generated always as identity,
  since timestamptz not null,
  repository_id uuid not null,
  -- the name it had; the repository may be gone
  repository_name text collate "C" not null,
  -- null: whatever was the latest
  version integer,
  -- null, as who changed it: what was there when this table came
  cause text check (cause in ('create', 'promote')),
  changed_by text,
  changed_by_id uuid,
  primary key (distribution_id, number)
);
create index distribution_history_since on distribution_history (since);
create index distribution_history_repository on distribution_history (repository_id);

-- Versions that were deleted. Those of a repository that are known, here or in `version`, are always the last ones without a gap.
create table version_history (
  repository_id uuid not null,
  number integer not null,
  cause text not null,
  created_at timestamptz not null,
  created_by text not null,
  created_by_id uuid,
  gone_at timestamptz not null default now(),
  primary key (repository_id, number)
);
create index version_history_time on version_history (repository_id, created_at) where number >= 0;
create index version_history_gone on version_history (gone_at);

-- Which version was the latest at a time. As those on revisions, they are for queries that say `number >= 0`, and for no others.
create index version_time on version (repository_id, created_at) where number >= 0;

-- Where tags pointed, in versions none of which is left: rows of `tag_interval` as they were before they were emptied.
create table tag_history (
  repository_id uuid not null,
  name text collate "C" not null,
  since integer not null,
  until integer not null check (until > since),
  digest text not null,
  opened_at timestamptz not null,
  primary key (repository_id, name, since)
);

-- From here on it is known.
insert into distribution_history (distribution_id, since, repository_id, repository_name, version)
select distribution.id, now(), repository_id, repository.name, version
from distribution
join repository on repository.id = repository_id;
