-- A namespace is the first segment of a repository's name. It is there with its first repository; a row says what is set.
create table namespace (
  id uuid primary key default gen_random_uuid(),
  name text collate "C" not null unique,
  -- what a first push makes
  default_access text not null default 'private' check (default_access in ('public', 'private')),
  labels jsonb not null default '{}',
  -- for repositories without rules of their own
  retention jsonb,
  created_at timestamptz not null default now(),
  created_by text not null
);
create index repository_labels on repository using gin (labels);
create index repository_namespace on repository (split_part(name, '/', 1), name);

-- What goes by itself in time; null: what the namespace says.
alter table repository add column retention jsonb;

-- Since when a tag points where it points, and since when a manifest is here. Kept beside the intervals, because the version
-- that opened one may be deleted.
alter table tag_interval add column opened_at timestamptz not null default now();
alter table manifest_interval add column opened_at timestamptz not null default now();
update tag_interval as tag set opened_at = coalesce((
  select version.created_at from version where version.repository_id = tag.repository_id and version.number >= tag.since order by number limit 1), now());
update manifest_interval as member set opened_at = coalesce((
  select version.created_at from version where version.repository_id = member.repository_id and version.number >= member.since order by number limit 1), now());
