-- No generation of a key comes twice, so that a row can be deleted and a delete of its object may still be under way: what
-- it hits is nobody's.
create sequence blob_generation;
select setval('blob_generation', greatest(1, (select max(generation) from blob)));

-- since when the collector has seen nothing that needs it, and when it was marked for removal
alter table blob add column candidate_since timestamptz, add column marked_at timestamptz;
create index blob_candidate on blob (digest) where candidate_since is not null;
create index blob_removing on blob (digest) where state = 'removing';

-- A lease of a repository: its pushes may name the blob in a manifest even if the repository loses it meanwhile. No foreign
-- key: it would wait for whoever holds the repository, with the row of the blob held, and they come in the other order.
alter table lease add column repository_id uuid;

-- Who refers to a digest, asked for each that might go.
create index tag_interval_digest on tag_interval (digest);
create index manifest_interval_digest on manifest_interval (digest);
create index blob_interval_digest on blob_interval (digest);
create index signature_interval_digest on signature_interval (digest);
create index blob_link_digest on blob_link (digest);
create index manifest_envelope on manifest (envelope) where envelope is not null;
create index stage_manifest_digest on stage_manifest (digest);
create index stage_tag_digest on stage_tag (digest);

-- The highest revision whose trace was deleted. A follower that knows less than that must hear everything anew. No foreign key,
-- for the same reason.
create table forgotten_trace (repository_id uuid primary key, revision bigint not null);

create table gc_run (
  id uuid primary key default gen_random_uuid(),
  cause text not null check (cause in ('interval', 'request')),
  task_id uuid,
  grace_seconds integer not null,
  -- whether the store was listed and old traces were deleted too
  thorough boolean not null,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  result jsonb,
  error text
);
create index gc_run_started on gc_run (started_at desc, id desc);

-- Leases digests (sorted) for a holder and says under which generation their bytes lie, or are to be written. Who holds the
-- row of a blob decides: the collector marks one only while it holds the row and sees no lease.
create or replace function lease_blobs(p_digests text[], p_holder text, p_seconds integer)
returns table (digest text, generation integer, state text, size_bytes bigint) language plpgsql as $$
#variable_conflict use_column
begin
  -- A lease that a crash of PostgreSQL takes back costs its writer another try: the commit of what it wrote checks again.
  perform set_config('synchronous_commit', 'off', true);
  -- The collector deletes rows under the same locks, so the generation read next is that of the row, or there is no row.
  perform pg_advisory_xact_lock(hashtextextended(wanted, 0)) from unnest(p_digests) as wanted;
  return query
    insert into blob as known (digest, generation, state)
    select wanted, coalesce((select generation from blob where digest = wanted), nextval('blob_generation')), 'writing' from unnest(p_digests) as wanted
    on conflict (digest) do update set
      generation = case known.state when 'removing' then greatest(nextval('blob_generation'), known.generation + 1) else known.generation end,
      state = case known.state when 'removing' then 'writing' else known.state end,
      size_bytes = case known.state when 'removing' then null else known.size_bytes end,
      candidate_since = null, marked_at = null
    returning known.digest, known.generation, case known.state when 'present' then 'present' else 'write' end, known.size_bytes;
  insert into lease (digest, holder, expires_at) select unnest(p_digests), p_holder, now() + make_interval(secs => p_seconds)
    on conflict (digest, holder) do update set expires_at = greatest(lease.expires_at, excluded.expires_at);
end $$;

-- Leases a blob that a repository has, for its pushes. No row: the repository does not have it, or its bytes are going.
create function keep_blob(p_repository text, p_digest text, p_holder text, p_seconds integer)
returns table (generation integer, size_bytes bigint) language plpgsql as $$
#variable_conflict use_column
declare
  kept blob%rowtype;
  v_repository uuid;
begin
  perform set_config('synchronous_commit', 'off', true);
  -- Held before we look at what the repository has: whoever takes its link away for its age holds it too.
  select * into kept from blob where digest = p_digest and state = 'present' for no key update;
  if not found then return; end if;
  select id into v_repository from repository where name = p_repository;
  if not exists (select from blob_interval where repository_id = v_repository and digest = p_digest and until is null)
    and not exists (select from blob_link where repository_id = v_repository and digest = p_digest and linked)
    and not exists (select from lease where repository_id = v_repository and digest = p_digest and expires_at > now())
    and not exists (select from manifest_interval where repository_id = v_repository and digest = p_digest and until is null)
  then return; end if;
  insert into lease (digest, holder, expires_at, repository_id) values (p_digest, p_holder, now() + make_interval(secs => p_seconds), v_repository)
    on conflict (digest, holder) do update set expires_at = greatest(lease.expires_at, excluded.expires_at), repository_id = excluded.repository_id;
  if kept.candidate_since is not null then update blob set candidate_since = null where digest = p_digest; end if;
  return query select kept.generation, kept.size_bytes;
end $$;

-- Notes that a blob is durable, links it to a repository and leases it for a manifest to come. No row: there is no such
-- repository, and nothing was changed. Raises BR001 when the generation is not the one being written.
drop function link_blob(text, text, integer, bigint);
create function link_blob(p_repository text, p_digest text, p_generation integer, p_size bigint, p_holder text, p_seconds integer)
returns table (id uuid, name text, revision bigint, latest_version integer) language plpgsql as $$
#variable_conflict use_column
declare
  linked repository%rowtype;
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
  return query select linked.id, linked.name, linked.revision, linked.latest_version;
end $$;
