-- The content of a repository goes with it. No foreign key does this: what writes an interval holds the row of its repository, so it
-- cannot vanish meanwhile, and asking for it again with each row took a third of the time of a large change.
create or replace function forget_content() returns trigger language plpgsql as $$
begin
  delete from signature_interval where repository_id = old.id;
  delete from tag_interval where repository_id = old.id;
  delete from manifest_interval where repository_id = old.id;
  delete from blob_interval where repository_id = old.id;
  return old;
end $$;

create or replace trigger repository_forgets_content
before delete on repository
for each row execute function forget_content();
