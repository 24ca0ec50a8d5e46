-- The account that did it, which decides; the name beside it is shown, and another account may have it by now.
-- Null: Berth itself, or nobody.
alter table remote add column created_by_id uuid;
alter table sync_run add column actor_id uuid;
