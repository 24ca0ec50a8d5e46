-- Locks know the place of their task in the order, so that what comes before is found in an index, however many wait for a resource.
-- They are of tasks that wait or run: those of others are gone already.
delete from task_resource
using task
where task.id = task_resource.task
  and task.state not in ('waiting', 'running');

alter table task_resource add column seq bigint;
update task_resource
set seq = task.seq
from task
where task.id = task_resource.task;
alter table task_resource alter column seq set not null;

drop index task_resource_by_name;
create index task_resource_in_order on task_resource (resource, exclusive, seq);
