-- Whoever can be granted something: users, groups and robots. They share one space of names.
create table holder (
  id uuid primary key,
  kind text not null check (kind in ('user', 'group', 'robot')),
  name text collate "C" not null unique check (name <> '' and name <> '<token>' and position(':' in name) = 0),
  constraint holder_id_name_key unique (id, name)
);

-- The name of the group that is always there.
update account set name = 'authenticated-' || left(id::text, 8) where name = 'authenticated';
alter table account alter column name type text collate "C";
insert into holder (id, kind, name) select id, 'user', name from account;
alter table account
  add column is_active boolean not null default true,
  add constraint account_holder_fkey foreign key (id, name) references holder (id, name) on delete cascade;

create table user_group (
  id uuid primary key,
  name text collate "C" not null unique,
  created_at timestamptz not null default now(),
  -- null: it is built in
  created_by text,
  constraint user_group_holder_fkey foreign key (id, name) references holder (id, name) on delete cascade
);
-- Users and robots; a group is in no group. What is built in has everybody, without rows here.
create table group_member (
  group_id uuid not null references user_group on delete cascade,
  member_id uuid not null references holder on delete cascade,
  primary key (group_id, member_id)
);
create index group_member_of on group_member (member_id);

insert into holder (id, kind, name) values ('00000000-0000-4000-8000-000000000001', 'group', 'authenticated');
insert into user_group (id, name) values ('00000000-0000-4000-8000-000000000001', 'authenticated');

create table robot (
  id uuid primary key,
  -- with its namespace, as it logs in
  name text collate "C" not null unique,
  namespace text collate "C",
  description text not null default '',
  -- SHA-256: the secret is 256 random bits, so nothing slower is needed
  secret_hash bytea not null,
  secret_made_at timestamptz not null default now(),
  -- of the secret before, which is good until then
  previous_hash bytea,
  previous_until timestamptz,
  expires_at timestamptz,
  -- written at most once a minute
  last_used_at timestamptz,
  -- how many days before its end that was announced
  told_days integer,
  session_epoch bigint not null default 0,
  created_at timestamptz not null default now(),
  created_by text not null,
  constraint robot_holder_fkey foreign key (id, name) references holder (id, name) on delete cascade,
  constraint robot_previous_ends check ((previous_hash is null) = (previous_until is null)),
  constraint robot_name_has_namespace check (
    case when namespace is null then position('/' in name) = 0 else starts_with(name, namespace || '/') end)
);
create index robot_by_namespace on robot (namespace, name);
create index robot_by_end on robot (expires_at) where expires_at is not null;

create table custom_role (
  id uuid primary key,
  name text collate "C" not null unique,
  verbs text[] not null,
  created_at timestamptz not null default now(),
  created_by text not null
);

-- What other services own, as far as it is decided by: copied from what they announce.
create table object (
  id uuid primary key,
  kind text not null check (kind in ('repository', 'distribution', 'remote')),
  -- of a distribution its base path. Not unique: two that exchange their names have one of them for a moment
  name text collate "C" not null,
  -- what a distribution serves; null for one of a host
  repository_id uuid,
  -- the distribution of a host by which a distribution came
  via_id uuid,
  owner_id uuid,
  -- the newer word wins
  told_at timestamptz not null default clock_timestamp()
);
create index object_by_name on object (kind, name);
create index object_of_host on object (name) where kind = 'distribution' and repository_id is null;

create table access_grant (
  id uuid primary key,
  seq bigint generated always as identity unique,
  holder_id uuid not null references holder on delete cascade,
  -- a built-in role, or one of their own
  role text,
  custom_role_id uuid references custom_role,
  -- what it is on: one of these
  everything boolean not null default false,
  prefix text collate "C" check (prefix like '_%/'),
  namespace text collate "C" check (namespace <> ''),
  object_id uuid references object,
  created_at timestamptz not null default now(),
  created_by text not null,
  constraint access_grant_has_role check (num_nonnulls(role, custom_role_id) = 1),
  constraint access_grant_on_one check (everything::integer + num_nonnulls(prefix, namespace, object_id) = 1),
  constraint access_grant_once unique nulls not distinct (holder_id, role, custom_role_id, prefix, namespace, object_id)
);
create index access_grant_of_role on access_grant (custom_role_id) where custom_role_id is not null;
create index access_grant_on_object on access_grant (object_id) where object_id is not null;
