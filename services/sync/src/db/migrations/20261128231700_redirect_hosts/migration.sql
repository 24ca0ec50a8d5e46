-- Hosts that a remote may send Berth to although they are at private addresses.
alter table remote add column redirect_hosts text[] not null default '{}';
