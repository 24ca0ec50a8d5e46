-- Where sequences of events were moved after a restore, so that none comes below what subscribers have seen: what had a position
-- after from_position up to until has one that is higher by so many.
create table outbox_jump (
  from_position bigint primary key,
  until bigint not null,
  by bigint not null,
  made_at timestamptz not null default now());
-- What an operator called the last restore that was told of.
alter table outbox_head add column restored text;
