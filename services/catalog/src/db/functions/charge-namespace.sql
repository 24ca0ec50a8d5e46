-- Counts digests that come into a namespace. No row: it has no quota. Raises BR003, with the figures as JSON in its detail, when
-- they would exceed it. Where all are counted already there is no waiting; else one transaction after the other adds its own, until
-- it ends, so that together they stay within the quota. A recount waits for all of them, and they for it.
create or replace function charge_namespace(p_name text, p_digests text[])
returns table (used_bytes bigint, quota_bytes bigint) language plpgsql as $$
#variable_conflict use_column
declare
  charged namespace%rowtype;
  added bigint;
begin
  select * into charged from namespace where name = p_name;
  if charged.quota_bytes is null then return; end if;
  perform pg_advisory_xact_lock_shared(hashtextextended('quota ' || p_name, 0));
  if exists (
    select
    from unnest(p_digests) as wanted (digest)
    where not exists (
      select
      from namespace_blob as counted
      where counted.namespace_id = charged.id
        and counted.digest = wanted.digest)
  ) then
    perform from namespace where id = charged.id for no key update;
    if not found then return; end if;
    with counted as (
      insert into namespace_blob (namespace_id, digest, size_bytes)
      select charged.id, digest, coalesce(size_bytes, 0)
      from blob
      where digest = any(p_digests)
      on conflict do nothing
      returning size_bytes)
    select coalesce(sum(size_bytes), 0) into added from counted;
    update namespace
    set used_bytes = namespace.used_bytes + added
    where id = charged.id
    returning * into charged;
    if added > 0 and charged.used_bytes > charged.quota_bytes then
      raise exception 'the quota of namespace % is exceeded', p_name
        using errcode = 'BR003', detail = json_build_object(
          'namespace', p_name, 'quotaBytes', charged.quota_bytes, 'usedBytes', charged.used_bytes - added, 'wantedBytes', added)::text;
    end if;
  end if;
  return query select charged.used_bytes, charged.quota_bytes;
end $$;
