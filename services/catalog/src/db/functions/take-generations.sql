-- Hands out numbers under which writers store bytes before catalog hears of them. No number is handed out twice.
create or replace function take_generations(p_count integer) returns setof bigint language sql as $$
  select nextval('blob_generation')
  from generate_series(1, p_count)
$$;
