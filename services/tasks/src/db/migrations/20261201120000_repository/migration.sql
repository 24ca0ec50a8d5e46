-- The repository that a task changes, so that those who keep that repository see the task as well as whoever started it. Without an
-- id where the task makes it.
alter table task add column repository_id uuid;
alter table task add column repository_name text collate "C";

-- Lists of what is seen by its repository, newest first.
create index task_by_repository on task (repository_name, seq) where repository_name is not null;
