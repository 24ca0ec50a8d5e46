-- Whether builds into the namespace may have a network, for who has the right to it.
alter table namespace add column build_egress boolean not null default false;
