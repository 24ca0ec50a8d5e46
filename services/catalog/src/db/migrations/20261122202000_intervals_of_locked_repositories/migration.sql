-- Whoever writes an interval holds the row of its repository, so it cannot vanish meanwhile: asking for it again with each row
-- took a third of the time of a large change. What a repository had goes with it by this trigger instead.
alter table tag_interval drop constraint tag_interval_repository_id_fkey;
alter table manifest_interval drop constraint manifest_interval_repository_id_fkey;
alter table blob_interval drop constraint blob_interval_repository_id_fkey;
alter table signature_interval drop constraint signature_interval_repository_id_fkey;

create function forget_content() returns trigger language plpgsql as $$
begin
  delete from signature_interval where repository_id = old.id;
  delete from tag_interval where repository_id = old.id;
  delete from manifest_interval where repository_id = old.id;
  delete from blob_interval where repository_id = old.id;
  return old;
end $$;
create trigger repository_forgets_content before delete on repository for each row execute function forget_content();
