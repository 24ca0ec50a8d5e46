-- Versions by which the content of a later one was read until its intervals were written. `retainVersions` leaves them until
-- registry has followed that: whoever it sent there a moment ago would find only what other versions have too.
alter table repository add column lately_read integer[] not null default '{}';
create index repository_lately_read on repository (id) where lately_read <> '{}';
