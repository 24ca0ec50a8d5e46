-- The account that did it, which decides; the name beside it is shown, and another account may have it by now.
-- Null: Berth itself, or nobody.
alter table access_grant add column created_by_id uuid;
alter table custom_role add column created_by_id uuid;
alter table robot add column created_by_id uuid;
alter table user_group add column created_by_id uuid;
