-- Whether a run asked upstream what belongs to every tag, and not only to those that moved.
alter table sync_run add column companions_asked boolean not null default false;
create index sync_run_companions on sync_run (remote_id, repository_id, started_at) where companions_asked;
