-- The tags that a run is for, where it tries again what failed in another one; none: all that the filters of its remote choose.
alter table sync_run add column only_tags text[] not null default '{}';
