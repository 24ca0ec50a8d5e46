-- `keep_for_push` for the release before, which knows smaller numbers only.
create or replace function keep_blob(p_repository text, p_digest text, p_holder text, p_seconds integer)
returns table (generation integer, size_bytes bigint) language plpgsql as $$
begin
  return query
    select kept.generation::integer, kept.size_bytes
    from repository
    cross join lateral keep_for_push(repository.id, p_digest, p_holder, p_seconds) as kept
    where repository.name = p_repository;
end $$;
