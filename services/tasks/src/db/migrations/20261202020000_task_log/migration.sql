-- What the workers of a task say while they do it, line by line. `fence` and `place` put them in order, and make a line that is sent twice one.
create table task_log (
  task uuid not null references task (id) on delete cascade,
  fence bigint not null,
  place integer not null,
  at timestamptz not null,
  level text not null check (level in ('info', 'warn', 'error')),
  message text not null check (message <> ''),
  detail text,
  primary key (task, fence, place),
  check (octet_length(message) + coalesce(octet_length(detail), 0) <= 4096)
);

-- How many lines there are, so that nobody has to count them.
alter table task add column log_lines integer not null default 0;
