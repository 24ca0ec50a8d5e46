-- An account is asked about before it goes.
create index schedule_by_account on schedule (run_as_id);
