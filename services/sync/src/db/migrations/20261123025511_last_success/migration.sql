-- When a remote was last synced well, which metrics tell at each look.
create index sync_run_success on sync_run (remote_id, finished_at) where state = 'completed' and not dry_run;
