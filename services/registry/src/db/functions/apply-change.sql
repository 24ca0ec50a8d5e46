-- Applies a change as a whole, in one statement: 'applied', 'old' (known already), or 'gap' (something before it is missing).
create or replace function apply_change(p_repository uuid, p_head jsonb, p_rows jsonb) returns text language plpgsql as $$
declare
  v_revision bigint;
begin
  -- Catalog has flushed a pushed blob's link. Lost here in a crash of PostgreSQL, it is fetched again; until then the blob is absent
  -- and its client uploads it once more. Tags and manifests are flushed: an old one must never be served again.
  if jsonb_array_length(p_rows) = 2 and p_rows @> '[{"kind": "link", "linked": true}, {"kind": "blob-facts"}]' then
    perform set_config('synchronous_commit', 'off', true);
  end if;
  select revision into v_revision
  from served_repository
  where id = p_repository
  for update;
  if (p_head ->> 'revision')::bigint <= v_revision then return 'old'; end if;
  if v_revision is null or (p_head ->> 'from')::bigint > v_revision then return 'gap'; end if;
  perform write_rows(p_repository, p_rows);
  perform move_head(p_repository, p_head);
  return 'applied';
end $$;
