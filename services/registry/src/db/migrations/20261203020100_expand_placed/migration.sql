-- Of two places of one digest the one that came later has the higher number in `placed`; that of a generation says nothing of it
-- any more. What is here was told when it did.
alter table blob_facts add column placed bigint not null default 0;
update blob_facts set placed = generation;

alter table manifest_facts add column placed bigint not null default 0;
update manifest_facts set placed = generation;
