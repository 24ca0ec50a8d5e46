-- As catalog has it now: the access of what came by pull-through stands in its own row.
update pointer
set access = pull_through.access
from pull_through
where pull_through.id = pointer.via and pointer.access <> pull_through.access;
