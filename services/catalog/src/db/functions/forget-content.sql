-- The content of a repository goes with it. No foreign key does this: what writes an interval holds the row of its repository, so it
-- cannot vanish meanwhile, and asking for it again with each row took a third of the time of a large change.
--
-- Its history goes too, for nobody can ask for it any more, unless a distribution that is still there has served it.
create or replace function forget_content() returns trigger language plpgsql as $$
begin
  if exists (
    select
    from distribution_history as served
    join distribution on distribution.id = served.distribution_id
    where served.repository_id = old.id
  ) then
    insert into version_history (repository_id, number, cause, created_at, created_by, created_by_id)
    select repository_id, number, cause, created_at, created_by, created_by_id
    from version
    where repository_id = old.id;
    insert into tag_history (repository_id, name, since, until, digest, opened_at)
    select repository_id, name, since, coalesce(until, old.latest_version + 1), digest, opened_at
    from tag_interval
    where repository_id = old.id
      and since <= old.latest_version
      and (until is null or until > since);
  else
    delete from version_history where repository_id = old.id;
    delete from tag_history where repository_id = old.id;
  end if;
  delete from signature_interval where repository_id = old.id;
  delete from tag_interval where repository_id = old.id;
  delete from manifest_interval where repository_id = old.id;
  delete from blob_interval where repository_id = old.id;
  return old;
end $$;

create or replace trigger repository_forgets_content
before delete on repository
for each row execute function forget_content();
