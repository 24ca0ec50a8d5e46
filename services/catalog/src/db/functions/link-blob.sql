-- Notes that a blob is durable, links it to a repository and leases it for a manifest to come. No row: there is no such repository,
-- and nothing was changed. Raises BR001 when the generation is not the one being written, BR003 when a quota is exceeded.
-- `latest_version` is what registry is told: a link needs no intervals, so it does not wait for those of a rollback.
create or replace function link_blob(
  p_repository text, p_digest text, p_generation integer, p_size bigint, p_holder text, p_seconds integer)
returns table (id uuid, name text, revision bigint, latest_version integer, used_bytes bigint, quota_bytes bigint) language plpgsql as $$
#variable_conflict use_column
declare
  linked repository%rowtype;
  charged record;
begin
  update repository
  set revision = repository.revision + 1
  where repository.name = p_repository
  returning * into linked;
  if not found then return; end if;
  -- The row is there since the lease; its own lock orders this against the collector's mark.
  update blob
  set state = 'present', size_bytes = p_size, candidate_since = null
  where blob.digest = p_digest
    and blob.generation = p_generation
    and blob.state in ('writing', 'present', 'remote');
  if not found then
    raise exception 'generation % of % is not being written', p_generation, p_digest using errcode = 'BR001';
  end if;
  insert into blob_link (repository_id, digest, linked, revision)
  values (linked.id, p_digest, true, linked.revision)
  on conflict (repository_id, digest) do update set linked = true, linked_at = now(), revision = excluded.revision;
  -- The upload may have taken longer than its lease.
  insert into lease (digest, holder, expires_at)
  values (p_digest, p_holder, now() + make_interval(secs => p_seconds))
  on conflict (digest, holder) do update set expires_at = greatest(lease.expires_at, excluded.expires_at);
  select * into charged from charge_namespace(split_part(p_repository, '/', 1), array[p_digest]);
  return query
    select linked.id, linked.name, linked.revision, coalesce(linked.content_of - 1, linked.latest_version), charged.used_bytes,
      charged.quota_bytes;
end $$;
