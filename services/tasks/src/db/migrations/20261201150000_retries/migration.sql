-- Which of its resources a task wants for itself alone: they are freed when it ends, and a retry wants them again. Of tasks from before that is
-- not known, so theirs are all taken to be.
alter table task add column exclusive_resources text[];

-- The task that this one tries again, and whether only what failed in that one.
alter table task add column retry_of uuid;
alter table task add column failed_only boolean not null default false;
