-- A tag's manifest is recorded. Checked once for each digest of a statement instead of once for each row, as a foreign key is: of a
-- hundred thousand tags that come back at once that was a fifth of the work. It locks and refuses as a foreign key does
-- (docs/decisions/0020).
create or replace function tags_have_manifests() returns trigger language plpgsql as $$
declare
  v_missing text;
begin
  select wanted.digest into v_missing
  from (
    select distinct digest
    from opened
    order by digest) as wanted
  left join lateral (
    select true as held
    from manifest
    where manifest.digest = wanted.digest
    for key share) as found on true
  where found.held is null
  limit 1;
  if v_missing is not null then
    raise exception 'a tag names manifest %, which is not recorded', v_missing
      using errcode = 'foreign_key_violation', constraint = 'tag_interval_digest_fkey', table = 'tag_interval';
  end if;
  return null;
end $$;

create or replace trigger tag_interval_opened
after insert on tag_interval
referencing new table as opened
for each statement execute function tags_have_manifests();
