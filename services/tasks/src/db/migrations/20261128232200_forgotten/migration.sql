-- Those that ended long ago are looked for.
create index task_by_end on task (finished_at) where finished_at is not null;
