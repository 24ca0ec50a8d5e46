-- As `tags_have_manifests`, for a tag whose row is changed in place.
create or replace function tag_has_manifest() returns trigger language plpgsql as $$
begin
  perform from manifest where manifest.digest = new.digest for key share;
  if not found then
    raise exception 'a tag names manifest %, which is not recorded', new.digest
      using errcode = 'foreign_key_violation', constraint = 'tag_interval_digest_fkey', table = 'tag_interval';
  end if;
  return null;
end $$;

create or replace trigger tag_interval_moved
after update of digest on tag_interval
for each row
when (old.digest is distinct from new.digest)
execute function tag_has_manifest();
