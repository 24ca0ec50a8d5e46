-- Ends a pushed blob: its bytes are durable, it is linked to a repository and kept there for a manifest to come. Without a generation
-- it links what is here already. No row: there is no such repository, or nothing to link, and nothing was changed. Raises BR001 as
-- `place_blob` does, BR003 when a quota is exceeded.
--
-- The row of the repository is not changed, and held against its deletion only, so that layers of one repository do not wait for each
-- other. The row of the blob is held from before its link is written: what the collector marks it marks while it holds that row, and sees
-- no link.
create or replace function push_blob(
  p_repository uuid, p_digest text, p_generation bigint, p_size bigint, p_keep_seconds double precision)
returns table (generation bigint, size_bytes bigint, healed boolean, used_bytes bigint, quota_bytes bigint) language plpgsql as $$
#variable_conflict use_column
declare
  v_name text;
  placed record;
  charged record;
begin
  select name into v_name
  from repository
  where id = p_repository
  for key share;
  if not found then return; end if;
  if p_generation is null then
    select blob.generation::bigint, blob.size_bytes, false as healed into placed
    from blob
    where digest = p_digest
      and state = 'present'
    for no key update;
    if not found then return; end if;
  else
    select * into placed from place_blob(p_digest, p_generation, p_size);
  end if;
  insert into blob_link (repository_id, digest, linked, kept_until)
  values (p_repository, p_digest, true, now() + make_interval(secs => p_keep_seconds))
  on conflict (repository_id, digest) do update set
    linked = true,
    linked_at = now(),
    kept_until = greatest(blob_link.kept_until, excluded.kept_until);
  select * into charged from charge_namespace(split_part(v_name, '/', 1), array[p_digest]);
  return query select placed.generation, placed.size_bytes, placed.healed, charged.used_bytes, charged.quota_bytes;
end $$;
