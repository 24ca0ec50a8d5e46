-- Leases digests (sorted) for a holder and says under which generation their bytes lie, or are to be written. What holds the row of
-- a blob decides: the collector marks one only while it holds the row and sees no lease. `is_new`: the generation begins with this
-- lease, so there cannot be bytes under its key. `is_alone`: no other holder has ever leased it, so what lies there is its own.
create or replace function lease_digests(p_digests text[], p_holder text, p_seconds integer)
returns table (digest text, generation bigint, state text, size_bytes bigint, is_new boolean, is_alone boolean) language plpgsql as $$
#variable_conflict use_column
begin
  -- A lease that a crash of PostgreSQL takes back costs its writer another try: the commit of what it wrote checks again.
  perform set_config('synchronous_commit', 'off', true);
  -- The collector deletes rows under the same locks, so the generation read next is that of the row, or there is no row.
  perform pg_advisory_xact_lock(hashtextextended(wanted, 0)) from unnest(p_digests) as wanted;
  return query
    insert into blob as known (digest, generation, state, lone_writer)
    select wanted, coalesce((select generation from blob where digest = wanted), nextval('blob_generation')), 'writing', p_holder
    from unnest(p_digests) as wanted
    on conflict (digest) do update set
      generation = case known.state when 'removing' then nextval('blob_generation') else known.generation end,
      state = case known.state when 'removing' then 'writing' else known.state end,
      size_bytes = case known.state when 'removing' then null else known.size_bytes end,
      lone_writer = case when known.state = 'removing' or known.lone_writer = p_holder then p_holder end,
      candidate_since = null,
      marked_at = null
    -- A row that this statement has inserted, and not updated, was locked by nothing before.
    returning known.digest, known.generation::bigint, case known.state when 'present' then 'present' else 'write' end, known.size_bytes,
      known.xmax = 0, known.lone_writer is not distinct from p_holder;
  insert into lease (digest, holder, expires_at)
  select unnest(p_digests), p_holder, now() + make_interval(secs => p_seconds)
  on conflict (digest, holder) do update set expires_at = greatest(lease.expires_at, excluded.expires_at);
end $$;
