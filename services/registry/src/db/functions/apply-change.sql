-- Applies a change as a whole, in one statement: 'applied', 'old' (known already), or 'gap' (something before it is missing).
create or replace function apply_change(p_repository uuid, p_head jsonb, p_rows jsonb) returns text language plpgsql as $$
declare
  v_revision bigint;
begin
  -- Catalog has flushed what these rows tell. Lost here in a crash of PostgreSQL, it is fetched again before anything is served
  -- (model/intact.ts).
  perform set_config('synchronous_commit', 'off', true);
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
