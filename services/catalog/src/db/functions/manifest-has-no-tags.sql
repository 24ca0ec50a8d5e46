-- A manifest that a tag names stays: the other half of `tags_have_manifests`. Asked after the manifest's row was locked for its
-- deletion: a transaction that held it for a tag has ended, and its tag is seen.
create or replace function manifest_has_no_tags() returns trigger language plpgsql as $$
begin
  if exists (select from tag_interval where tag_interval.digest = old.digest) then
    raise exception 'a tag names manifest %', old.digest
      using errcode = 'foreign_key_violation', constraint = 'tag_interval_digest_fkey', table = 'manifest';
  end if;
  return null;
end $$;

create or replace trigger manifest_untagged
after delete on manifest
for each row execute function manifest_has_no_tags();

create or replace trigger manifest_renamed
after update of digest on manifest
for each row
when (old.digest is distinct from new.digest)
execute function manifest_has_no_tags();
