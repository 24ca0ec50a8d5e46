-- Whether a name that nothing here has means what comes below this base path.
alter table pull_through add column mirror_of_root boolean not null default false;

-- The namespaces that there are: a name in one of them is never looked for elsewhere. Catalog tells of all of them in each comparison, so
-- one that is missing here is so only until the first.
create table namespace (name text collate "C" primary key);
insert into namespace (name)
select distinct split_part(name, '/', 1)
from served_repository
where name <> '';
