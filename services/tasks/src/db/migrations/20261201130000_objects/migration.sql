-- What a task works on. Whoever may read all of it sees the task, as well as whoever started it. Without an id for what the task makes.
create table task_object (
  task uuid not null references task (id) on delete cascade,
  place integer not null,
  kind text not null check (kind in ('repository', 'distribution', 'remote')),
  object_id uuid,
  name text collate "C" not null check (name <> ''),
  owner_id uuid,
  primary key (task, place)
);

insert into task_object (task, place, kind, object_id, name)
select id, 0, 'repository', repository_id, repository_name
from task
where repository_name is not null;

alter table task drop column repository_id;
alter table task drop column repository_name;
