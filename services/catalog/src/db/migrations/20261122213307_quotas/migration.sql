-- How many bytes a namespace may hold, each digest counted once; null: any number. `used_bytes` is the sum of what is counted below.
alter table namespace add column quota_bytes bigint check (quota_bytes >= 0),
  add column used_bytes bigint not null default 0, add column counted_at timestamptz;

-- What is counted against a quota. Only added to when content comes; a recount takes out what is no longer held.
create table namespace_blob (
  namespace_id uuid not null references namespace on delete cascade,
  digest text not null,
  size_bytes bigint not null,
  primary key (namespace_id, digest)
);

-- Counts digests that come into a namespace. No row: it has no quota. Raises BR003, with the figures as JSON in its detail, when
-- they would exceed it. Where all are counted already nobody waits for anybody; else one transaction after the other adds its
-- own, until it ends, so that together they stay within the quota. A recount waits for all of them, and they for it.
create function charge_namespace(p_name text, p_digests text[]) returns table (used_bytes bigint, quota_bytes bigint) language plpgsql as $$
#variable_conflict use_column
declare
  charged namespace%rowtype;
  added bigint;
begin
  select * into charged from namespace where name = p_name;
  if charged.quota_bytes is null then return; end if;
  perform pg_advisory_xact_lock_shared(hashtextextended('quota ' || p_name, 0));
  if exists (select from unnest(p_digests) as wanted (digest)
    where not exists (select from namespace_blob as counted where counted.namespace_id = charged.id and counted.digest = wanted.digest)) then
    perform from namespace where id = charged.id for no key update;
    if not found then return; end if;
    with counted as (
      insert into namespace_blob (namespace_id, digest, size_bytes)
      select charged.id, digest, coalesce(size_bytes, 0) from blob where digest = any(p_digests)
      on conflict do nothing returning size_bytes)
    select coalesce(sum(size_bytes), 0) into added from counted;
    update namespace set used_bytes = namespace.used_bytes + added where id = charged.id returning * into charged;
    if added > 0 and charged.used_bytes > charged.quota_bytes then
      raise exception 'the quota of namespace % is exceeded', p_name using errcode = 'BR003', detail = json_build_object(
        'namespace', p_name, 'quotaBytes', charged.quota_bytes, 'usedBytes', charged.used_bytes - added, 'wantedBytes', added)::text;
    end if;
  end if;
  return query select charged.used_bytes, charged.quota_bytes;
end $$;

-- Counts anew what the repositories of a namespace hold in any of their versions, loose, or linked for a manifest to come.
-- Takes its lock before any row, as `charge_namespace` does.
create function recount_namespace(p_name text) returns bigint language plpgsql as $$
declare
  counting namespace%rowtype;
  total bigint := 0;
begin
  perform pg_advisory_xact_lock(hashtextextended('quota ' || p_name, 0));
  select * into counting from namespace where name = p_name for no key update;
  if not found then return null; end if;
  if counting.quota_bytes is null then
    delete from namespace_blob where namespace_id = counting.id;
  else
    with member as (select id from repository where split_part(name, '/', 1) = p_name),
    held as materialized (
      select digest, coalesce(blob.size_bytes, 0) as size_bytes from (
        select digest from blob_interval where repository_id in (select id from member) and (until is null or until > since)
        union select digest from manifest_interval where repository_id in (select id from member) and (until is null or until > since)
        union select digest from blob_link where repository_id in (select id from member) and linked) as found
      join blob using (digest)),
    gone as (
      delete from namespace_blob as counted where namespace_id = counting.id and not exists (select from held where held.digest = counted.digest)),
    missing as (
      insert into namespace_blob (namespace_id, digest, size_bytes) select counting.id, digest, size_bytes from held on conflict do nothing)
    select coalesce(sum(size_bytes), 0) into total from held;
  end if;
  update namespace set used_bytes = total, counted_at = now() where id = counting.id;
  return total;
end $$;

-- Notes that a blob is durable, links it to a repository and leases it for a manifest to come. No row: there is no such
-- repository, and nothing was changed. Raises BR001 when the generation is not the one being written, BR003 when a quota is
-- exceeded.
drop function link_blob(text, text, integer, bigint, text, integer);
create function link_blob(p_repository text, p_digest text, p_generation integer, p_size bigint, p_holder text, p_seconds integer)
returns table (id uuid, name text, revision bigint, latest_version integer, used_bytes bigint, quota_bytes bigint) language plpgsql as $$
#variable_conflict use_column
declare
  linked repository%rowtype;
  charged record;
begin
  update repository set revision = repository.revision + 1 where repository.name = p_repository returning * into linked;
  if not found then return; end if;
  -- The row is there since the lease; its own lock orders this against the collector's mark.
  update blob set state = 'present', size_bytes = p_size, candidate_since = null
    where blob.digest = p_digest and blob.generation = p_generation and blob.state in ('writing', 'present');
  if not found then raise exception 'generation % of % is not being written', p_generation, p_digest using errcode = 'BR001'; end if;
  insert into blob_link (repository_id, digest, linked, revision) values (linked.id, p_digest, true, linked.revision)
    on conflict (repository_id, digest) do update set linked = true, linked_at = now(), revision = excluded.revision;
  -- The upload may have taken longer than its lease.
  insert into lease (digest, holder, expires_at) values (p_digest, p_holder, now() + make_interval(secs => p_seconds))
    on conflict (digest, holder) do update set expires_at = greatest(lease.expires_at, excluded.expires_at);
  select * into charged from charge_namespace(split_part(p_repository, '/', 1), array[p_digest]);
  return query select linked.id, linked.name, linked.revision, linked.latest_version, charged.used_bytes, charged.quota_bytes;
end $$;
