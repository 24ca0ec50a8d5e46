-- What a look at the stored bytes found: `missing` or `rotten` ones are to be written again by whoever has them. `healed`: they
-- were, under another generation, and registry has yet to hear of it.
alter table blob add column damage text check (damage in ('missing', 'rotten', 'healed')), add column checked_at timestamptz;
create index blob_damaged on blob (digest) where damage is not null;

-- Notes that a blob is durable, links it to a repository and leases it for a manifest to come. No row: there is no such
-- repository, and nothing was changed. Raises BR001 when the generation is not the one being written.
create or replace function link_blob(p_repository text, p_digest text, p_generation integer, p_size bigint, p_holder text, p_seconds integer)
returns table (id uuid, name text, revision bigint, latest_version integer) language plpgsql as $$
#variable_conflict use_column
declare
  linked repository%rowtype;
begin
  update repository set revision = repository.revision + 1 where repository.name = p_repository returning * into linked;
  if not found then return; end if;
  -- The row is there since the lease; its own lock orders this against the collector's mark.
  update blob set state = 'present', size_bytes = p_size, candidate_since = null,
      damage = case when blob.damage in ('rotten', 'healed') then 'healed' end
    where blob.digest = p_digest and blob.generation = p_generation and blob.state in ('writing', 'present');
  if not found then raise exception 'generation % of % is not being written', p_generation, p_digest using errcode = 'BR001'; end if;
  insert into blob_link (repository_id, digest, linked, revision) values (linked.id, p_digest, true, linked.revision)
    on conflict (repository_id, digest) do update set linked = true, linked_at = now(), revision = excluded.revision;
  -- The upload may have taken longer than its lease.
  insert into lease (digest, holder, expires_at) values (p_digest, p_holder, now() + make_interval(secs => p_seconds))
    on conflict (digest, holder) do update set expires_at = greatest(lease.expires_at, excluded.expires_at);
  return query select linked.id, linked.name, linked.revision, linked.latest_version;
end $$;
