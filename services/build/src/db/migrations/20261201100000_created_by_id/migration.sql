-- The account that did it, which decides; the name beside it is shown, and another account may have it by now.
-- Null: Berth itself, or nobody.
alter table build add column created_by_id uuid;

drop index build_by_creator;
create index build_by_creator on build (created_by_id, seq);
