-- Set while a rollback of very much is served and its intervals are still to be written: the latest version then has the content
-- of this one, and what is open is that of the version before (docs/decisions/0024).
alter table repository add column content_of integer;
alter table repository add constraint repository_content_of foreign key (id, content_of) references version (repository_id, number);
-- Nothing comes on top of it before it is settled; a program of before this migration would not know.
alter table repository add constraint repository_unsettled_is_whole check (content_of is null or loose_since is null);
create function refuse_unsettled() returns trigger language plpgsql as $$
begin
  raise exception 'version % of % is not settled', old.latest_version, old.name using errcode = '40001';
end $$;
create trigger repository_settled before update of latest_version on repository for each row
  when (old.content_of is not null and new.content_of is not null and new.latest_version <> old.latest_version) execute function refuse_unsettled();
create index repository_unsettled on repository (id) where content_of is not null;
-- Whoever follows asks for the rollback that came next.
create index version_rolled_back on version (repository_id, revision) where cause = 'rollback';

-- Leases a blob that a repository has, for its pushes. No row: the repository does not have it, or its bytes are going.
create or replace function keep_blob(p_repository text, p_digest text, p_holder text, p_seconds integer)
returns table (generation integer, size_bytes bigint) language plpgsql as $$
#variable_conflict use_column
declare
  kept blob%rowtype;
  v_repository uuid;
  v_at integer;
begin
  perform set_config('synchronous_commit', 'off', true);
  -- Held before we look at what the repository has: whoever takes its link away for its age holds it too.
  select * into kept from blob where digest = p_digest and state = 'present' for no key update;
  if not found then return; end if;
  select id, content_of into v_repository, v_at from repository where name = p_repository;
  if not exists (select from blob_interval where repository_id = v_repository and digest = p_digest
      and case when v_at is null then until is null else since <= v_at and (until is null or until > v_at) end)
    and not exists (select from blob_link where repository_id = v_repository and digest = p_digest and linked)
    and not exists (select from lease where repository_id = v_repository and digest = p_digest and expires_at > now())
    and not exists (select from manifest_interval where repository_id = v_repository and digest = p_digest
      and case when v_at is null then until is null else since <= v_at and (until is null or until > v_at) end)
  then return; end if;
  insert into lease (digest, holder, expires_at, repository_id) values (p_digest, p_holder, now() + make_interval(secs => p_seconds), v_repository)
    on conflict (digest, holder) do update set expires_at = greatest(lease.expires_at, excluded.expires_at), repository_id = excluded.repository_id;
  if kept.candidate_since is not null then update blob set candidate_since = null where digest = p_digest; end if;
  return query select kept.generation, kept.size_bytes;
end $$;

-- Notes that a blob is durable, links it to a repository and leases it for a manifest to come. No row: there is no such
-- repository, and nothing was changed. Raises BR001 when the generation is not the one being written. `latest_version` is what
-- registry is told: a link needs no intervals, so it does not wait for them.
create or replace function link_blob(p_repository text, p_digest text, p_generation integer, p_size bigint, p_holder text, p_seconds integer)
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
    where blob.digest = p_digest and blob.generation = p_generation and blob.state in ('writing', 'present', 'remote');
  if not found then raise exception 'generation % of % is not being written', p_generation, p_digest using errcode = 'BR001'; end if;
  insert into blob_link (repository_id, digest, linked, revision) values (linked.id, p_digest, true, linked.revision)
    on conflict (repository_id, digest) do update set linked = true, linked_at = now(), revision = excluded.revision;
  -- The upload may have taken longer than its lease.
  insert into lease (digest, holder, expires_at) values (p_digest, p_holder, now() + make_interval(secs => p_seconds))
    on conflict (digest, holder) do update set expires_at = greatest(lease.expires_at, excluded.expires_at);
  select * into charged from charge_namespace(split_part(p_repository, '/', 1), array[p_digest]);
  return query select linked.id, linked.name, linked.revision, coalesce(linked.content_of - 1, linked.latest_version), charged.used_bytes, charged.quota_bytes;
end $$;
