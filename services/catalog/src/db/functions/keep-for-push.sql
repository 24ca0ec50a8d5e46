-- Leases a blob that a repository has, for its pushes. No row: the repository does not have it, or its bytes are going.
create or replace function keep_for_push(p_repository uuid, p_digest text, p_holder text, p_seconds integer)
returns table (generation bigint, size_bytes bigint) language plpgsql as $$
#variable_conflict use_column
declare
  kept blob%rowtype;
  v_at integer;
begin
  perform set_config('synchronous_commit', 'off', true);
  -- Held before we look at what the repository has: what takes its link away for its age holds it too.
  select * into kept
  from blob
  where digest = p_digest
    and state = 'present'
  for no key update;
  if not found then return; end if;
  select content_of into v_at from repository where id = p_repository;
  if not exists (
    select
    from blob_interval
    where repository_id = p_repository
      and digest = p_digest
      and case when v_at is null then until is null else since <= v_at and (until is null or until > v_at) end
  ) and not exists (
    select
    from blob_link
    where repository_id = p_repository
      and digest = p_digest
      and linked
  ) then return; end if;
  insert into lease (digest, holder, expires_at, repository_id)
  values (p_digest, p_holder, now() + make_interval(secs => p_seconds), p_repository)
  on conflict (digest, holder) do update set
    expires_at = greatest(lease.expires_at, excluded.expires_at),
    repository_id = excluded.repository_id;
  if kept.candidate_since is not null then
    update blob set candidate_since = null where digest = p_digest;
  end if;
  return query select kept.generation::bigint, kept.size_bytes;
end $$;
