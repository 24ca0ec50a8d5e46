-- Writes rows that catalog gave for a repository, whatever their kinds; may be repeated. Goes through the rows once, and then once for
-- each kind that is among them: of many rows at a time nearly all are of one.
create or replace function write_rows(p_repository uuid, p_rows jsonb) returns void language plpgsql as $$
declare
  v_kinds text[] := array(select distinct row ->> 'kind' from jsonb_array_elements(p_rows) as row);
begin
  if 'blob-facts' = any(v_kinds) then
    insert into blob_facts (digest, generation, placed, size_bytes)
    -- A catalog of the release before tells generations that rise.
    select digest, generation, coalesce(placed, generation), "sizeBytes"
    from jsonb_to_recordset(p_rows) as row (kind text, digest text, generation bigint, placed bigint, "sizeBytes" bigint)
    where kind = 'blob-facts'
    order by digest
    on conflict (digest) do update set
      generation = excluded.generation,
      placed = excluded.placed,
      size_bytes = excluded.size_bytes
    where blob_facts.placed < excluded.placed;
  end if;
  if 'link' = any(v_kinds) then
    insert into served_link (repository_id, digest)
    select p_repository, digest
    from jsonb_to_recordset(p_rows) as row (kind text, digest text, linked boolean)
    where kind = 'link'
      and linked
    on conflict do nothing;
    delete from served_link
    using jsonb_to_recordset(p_rows) as row (kind text, digest text, linked boolean)
    where kind = 'link'
      and not row.linked
      and served_link.repository_id = p_repository
      and served_link.digest = row.digest;
  end if;
  if 'manifest-facts' = any(v_kinds) then
    insert into manifest_facts (digest, generation, placed, media_type, size_bytes, artifact_type, subject, annotations, envelope)
    select digest, generation, coalesce(placed, generation), "mediaType", "sizeBytes", "artifactType", subject, annotations,
      nullif(envelope, 'null')
    from jsonb_to_recordset(p_rows) as row (
      kind text, digest text, generation bigint, placed bigint, "mediaType" text, "sizeBytes" bigint, "artifactType" text, subject text,
      annotations jsonb, envelope jsonb)
    where kind = 'manifest-facts'
    order by digest
    -- Collected and pushed anew it may lie elsewhere, in another envelope too.
    on conflict (digest) do update set
      generation = excluded.generation,
      placed = excluded.placed,
      media_type = excluded.media_type,
      envelope = excluded.envelope
    where manifest_facts.placed < excluded.placed
      or (manifest_facts.placed = excluded.placed and manifest_facts.envelope is distinct from excluded.envelope);
  end if;
  if 'blob' = any(v_kinds) then
    insert into served_blob (repository_id, digest, since, until)
    select p_repository, digest, since, until
    from jsonb_to_recordset(p_rows) as row (kind text, digest text, since integer, until integer)
    where kind = 'blob'
    on conflict (repository_id, digest, since) do update set until = excluded.until;
  end if;
  if 'manifest' = any(v_kinds) then
    insert into served_manifest (repository_id, digest, since, until, pushed_type)
    select p_repository, digest, since, until, coalesce("pushedType", '')
    from jsonb_to_recordset(p_rows) as row (kind text, digest text, since integer, until integer, "pushedType" text)
    where kind = 'manifest'
    on conflict (repository_id, digest, since) do update set until = excluded.until, pushed_type = excluded.pushed_type;
  end if;
  if 'tag' = any(v_kinds) then
    insert into served_tag (repository_id, name, since, until, digest)
    select p_repository, name, since, until, digest
    from jsonb_to_recordset(p_rows) as row (kind text, name text, digest text, since integer, until integer)
    where kind = 'tag'
    on conflict (repository_id, name, since) do update set until = excluded.until, digest = excluded.digest;
  end if;
  if 'signature' = any(v_kinds) then
    insert into served_signature (repository_id, name, since, until, digest, content)
    select p_repository, name, since, until, digest, content
    from jsonb_to_recordset(p_rows) as row (kind text, name text, since integer, until integer, digest text, content text)
    where kind = 'signature'
    on conflict (repository_id, name, since) do update set
      until = excluded.until,
      digest = excluded.digest,
      content = excluded.content;
  end if;
end $$;
