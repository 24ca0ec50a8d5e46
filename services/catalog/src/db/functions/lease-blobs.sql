-- `lease_digests` for the release before, which knows smaller numbers only.
create or replace function lease_blobs(p_digests text[], p_holder text, p_seconds integer)
returns table (digest text, generation integer, state text, size_bytes bigint, is_new boolean, is_alone boolean) language plpgsql as $$
begin
  return query
    select leased.digest, leased.generation::integer, leased.state, leased.size_bytes, leased.is_new, leased.is_alone
    from lease_digests(p_digests, p_holder, p_seconds) as leased;
end $$;
