-- The account that owns a distribution: it may pull what it serves, and sees it in lists.
alter table pointer
add column owner_id uuid;
