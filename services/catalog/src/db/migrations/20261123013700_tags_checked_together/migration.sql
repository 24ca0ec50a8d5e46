-- A tag's manifest is recorded. Checked once for each digest of a statement instead of once for each row, as a foreign key is:
-- of a hundred thousand tags that come back at once that was a fifth of the work. It locks and refuses as a foreign key does.
create function tags_have_manifests() returns trigger language plpgsql as $$
declare
  v_missing text;
begin
  select wanted.digest into v_missing from (select distinct digest from opened order by digest) as wanted
    left join lateral (select true as held from manifest where manifest.digest = wanted.digest for key share) as found on true
    where found.held is null limit 1;
  if v_missing is not null then
    raise exception 'a tag names manifest %, which is not recorded', v_missing using errcode = 'foreign_key_violation', constraint = 'tag_interval_digest_fkey', table = 'tag_interval';
  end if;
  return null;
end $$;
create function tag_has_manifest() returns trigger language plpgsql as $$
begin
  perform from manifest where manifest.digest = new.digest for key share;
  if not found then
    raise exception 'a tag names manifest %, which is not recorded', new.digest using errcode = 'foreign_key_violation', constraint = 'tag_interval_digest_fkey', table = 'tag_interval';
  end if;
  return null;
end $$;
-- After the manifest's row was locked for its deletion: whoever holds it for a tag has ended, and is seen.
create function manifest_has_no_tags() returns trigger language plpgsql as $$
begin
  if exists (select from tag_interval where tag_interval.digest = old.digest) then
    raise exception 'a tag names manifest %', old.digest using errcode = 'foreign_key_violation', constraint = 'tag_interval_digest_fkey', table = 'manifest';
  end if;
  return null;
end $$;

alter table tag_interval drop constraint tag_interval_digest_fkey;
create trigger tag_interval_opened after insert on tag_interval referencing new table as opened for each statement execute function tags_have_manifests();
create trigger tag_interval_moved after update of digest on tag_interval for each row when (old.digest is distinct from new.digest) execute function tag_has_manifest();
create trigger manifest_untagged after delete on manifest for each row execute function manifest_has_no_tags();
create trigger manifest_renamed after update of digest on manifest for each row when (old.digest is distinct from new.digest) execute function manifest_has_no_tags();

-- What was over before a version had it: the collector looks for these, and a rollback asks whether one is in its way.
create index tag_over on tag_interval (repository_id, since) where until <= since;
create index manifest_over on manifest_interval (repository_id, since) where until <= since;
create index blob_over on blob_interval (repository_id, since) where until <= since;
create index signature_over on signature_interval (repository_id, since) where until <= since;
