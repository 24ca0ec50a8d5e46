-- Whatever door changes what a distribution serves, its history has it. The row of the distribution is held, so the times of its
-- history rise, whatever the clock does.
create or replace function note_pointing() returns trigger language plpgsql as $$
begin
  if new.repository_id is null then return null; end if;
  insert into distribution_history (
    distribution_id, since, repository_id, repository_name, version, cause, changed_by, changed_by_id)
  select new.id,
    greatest(
      clock_timestamp(),
      (select max(since) from distribution_history where distribution_id = new.id) + interval '1 microsecond'),
    repository.id, repository.name, new.version,
    case tg_op when 'INSERT' then 'create' else 'promote' end,
    case tg_op when 'INSERT' then new.created_by else new.changed_by end,
    case tg_op when 'INSERT' then new.created_by_id else new.changed_by_id end
  from repository
  where repository.id = new.repository_id;
  return null;
end $$;

create or replace trigger distribution_made
after insert on distribution
for each row execute function note_pointing();

create or replace trigger distribution_pointed
after update of repository_id, version on distribution
for each row
when (old.repository_id is distinct from new.repository_id or old.version is distinct from new.version)
execute function note_pointing();
