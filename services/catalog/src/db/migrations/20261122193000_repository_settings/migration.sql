-- Patterns of tags that may be made, and then neither moved nor deleted, whatever door the change comes by.
alter table repository add column immutable_tags text[] not null default '{}';
-- Whether an index may be pushed before, or without, all it names.
alter table repository add column sparse_indexes boolean not null default false;
