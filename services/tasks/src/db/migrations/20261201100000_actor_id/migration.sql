-- The account that did it, which decides; the name beside it is shown, and another account may have it by now.
-- Null: Berth itself, or nobody.
alter table task add column actor_id uuid;

drop index task_by_actor;
create index task_by_actor on task (actor_id, seq);
