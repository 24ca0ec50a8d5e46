-- Looked at again and again: whether their tasks are still there.
create index sync_run_unended on sync_run (created_at, id) where state in ('waiting', 'running');
