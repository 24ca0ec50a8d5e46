-- Schedules that Berth itself runs are those of no account.
alter table schedule alter column run_as_id drop not null;

-- That the default schedules were made: what was deleted of them does not come back.
create table schedule_defaults (
  single boolean primary key default true check (single),
  made_at timestamptz not null default now()
);
