-- Where all of a repository came from by pull-through, {host, name}: then another distribution of that host may go on with it. Null
-- once anything else has changed its content.
alter table repository add column pulled_from jsonb;
