-- What a run does with what fails: ends (fail), or goes on without it (skip).
alter table sync_run add column on_error text not null default 'fail' check (on_error in ('fail', 'skip'));
-- Whether it only says what it would do.
alter table sync_run add column dry_run boolean not null default false;
