-- The account that made a remote, and may do with it what owners may. Null: it belongs to administrators.
alter table remote
add column owner_id uuid;
