-- Notes that bytes are durable under a generation that their writer took for itself, and answers under which they count: where the
-- blob is here already, that is the one it has, and the writer's own are not needed. `healed`: registry has to hear of a new place
-- (store/damage.ts). Raises BR001 for a number that the collector is removing: it was used before.
create or replace function place_blob(p_digest text, p_generation bigint, p_size bigint)
returns table (generation bigint, size_bytes bigint, healed boolean) language plpgsql as $$
#variable_conflict use_column
declare
  placed blob%rowtype;
begin
  insert into blob as known (digest, generation, state, size_bytes)
  values (p_digest, p_generation, 'present', p_size)
  on conflict (digest) do update set
    generation = case known.state when 'present' then known.generation else p_generation end,
    size_bytes = case known.state when 'present' then known.size_bytes else p_size end,
    state = 'present',
    candidate_since = null,
    marked_at = null,
    lone_writer = null
  where known.state <> 'removing'
    or known.generation <> p_generation
  returning known.* into placed;
  if not found then
    raise exception 'generation % of % is being removed', p_generation, p_digest using errcode = 'BR001';
  end if;
  return query select placed.generation::bigint, placed.size_bytes, placed.damage is not distinct from 'healed';
end $$;
