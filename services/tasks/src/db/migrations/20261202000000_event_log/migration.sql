-- All that was announced in the last days, in one order: `id` grows in the order in which rows become visible, because whoever writes one
-- holds the only row of event_log_head until it has committed. So who has read up to an id has missed nothing.
create table event_log_head (
  only_row boolean primary key default true check (only_row),
  last bigint not null
);

insert into event_log_head (last) values (0);

-- Who may see an event is decided by the columns: the object that it is about, who started what it tells of, and the task whose objects
-- decide. `repositories` are the names that filters are compared with.
create table event_log (
  id bigint primary key,
  source text not null,
  type text not null,
  tail text not null,
  object_kind text,
  object_id uuid,
  object_name text collate "C",
  object_owner uuid,
  remote_id uuid,
  remote_name text collate "C",
  remote_owner uuid,
  account_id uuid,
  task_id uuid,
  repositories text[] not null,
  event jsonb not null,
  event_bytes integer not null,
  logged_at timestamptz not null default now()
);
