-- The account that made a repository or a distribution, and may do with it what owners may. Null: it belongs to its namespace.
alter table repository
add column owner_id uuid;

create index repository_owner on repository (owner_id) where owner_id is not null;

alter table distribution
add column owner_id uuid;

create index distribution_owner on distribution (owner_id) where owner_id is not null;
