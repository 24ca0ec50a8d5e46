-- Counts anew what the repositories of a namespace hold in any of their versions, loose, or linked for a manifest to come. Takes its
-- lock before any row, as `charge_namespace` does.
create or replace function recount_namespace(p_name text) returns bigint language plpgsql as $$
declare
  counting namespace%rowtype;
  total bigint := 0;
begin
  perform pg_advisory_xact_lock(hashtextextended('quota ' || p_name, 0));
  select * into counting
  from namespace
  where name = p_name
  for no key update;
  if not found then return null; end if;
  if counting.quota_bytes is null then
    delete from namespace_blob where namespace_id = counting.id;
  else
    with member as (
      select id
      from repository
      where split_part(name, '/', 1) = p_name),
    held as materialized (
      select digest, coalesce(blob.size_bytes, 0) as size_bytes
      from (
        select digest
        from blob_interval
        where repository_id in (select id from member)
          and (until is null or until > since)
        union
        select digest
        from manifest_interval
        where repository_id in (select id from member)
          and (until is null or until > since)
        union
        select digest
        from blob_link
        where repository_id in (select id from member)
          and linked) as found
      join blob using (digest)),
    gone as (
      delete from namespace_blob as counted
      where namespace_id = counting.id
        and not exists (select from held where held.digest = counted.digest)),
    missing as (
      insert into namespace_blob (namespace_id, digest, size_bytes)
      select counting.id, digest, size_bytes
      from held
      on conflict do nothing)
    select coalesce(sum(size_bytes), 0) into total from held;
  end if;
  update namespace
  set used_bytes = total, counted_at = now()
  where id = counting.id;
  return total;
end $$;
