-- Whether a mirror may take away more than its guard lets pass.
alter table sync_run add column force boolean not null default false;
