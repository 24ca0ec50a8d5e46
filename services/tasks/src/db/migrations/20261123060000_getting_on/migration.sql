-- How much the attempt that came furthest had done, and how many attempts in a row since were lost without getting further.
alter table task add column furthest bigint not null default 0, add column stuck integer not null default 0;
