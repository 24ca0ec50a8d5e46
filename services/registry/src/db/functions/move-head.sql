-- Moves the head of a repository, and with it every pointer that follows it.
create or replace function move_head(p_repository uuid, p_head jsonb) returns void language plpgsql as $$
declare
  v_name text := p_head ->> 'name';
  v_revision bigint := (p_head ->> 'revision')::bigint;
  v_latest integer := (p_head ->> 'latestVersion')::integer;
begin
  update served_repository
  set name = v_name, revision = v_revision, latest_version = v_latest
  where id = p_repository;
  update pointer
  set repository_name = v_name, repository_revision = v_revision, latest_version = v_latest
  where repository_id = p_repository;
end $$;
