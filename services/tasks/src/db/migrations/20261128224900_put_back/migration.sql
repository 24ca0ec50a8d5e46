-- How often what a task needs was away, and when it may be tried again.
alter table task add column put_back integer not null default 0, add column not_before timestamptz;
