-- Which of a remote's repositories a run copies, and the task that it is a part of.
alter table sync_run add column upstream_name text;
alter table sync_run add column parent_task uuid;
-- A repository is made with its first content: until then a run has none.
alter table sync_run alter column repository_id drop not null;
create index sync_run_parent on sync_run (parent_task) where parent_task is not null;
