alter table pointer add column convert_to_schema1 boolean not null default false;

-- The key that manifests made for old clients are signed with, made at its first use and sealed
create table schema1_key (single boolean primary key default true check (single), sealed bytea not null, made_at timestamptz not null default now());
