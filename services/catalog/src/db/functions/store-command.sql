-- Stores the reply of a command with its effect. Raises BR002 when the command took longer than its caller waits: then both are
-- undone, for the caller may have told its own client that it failed.
create or replace function store_command(p_id text, p_reply jsonb, p_timeout_ms double precision) returns void language plpgsql as $$
begin
  insert into command (id, reply) values (p_id, p_reply);
  if clock_timestamp() > transaction_timestamp() + make_interval(secs => p_timeout_ms / 1000) then
    raise exception 'command % came too late', p_id using errcode = 'BR002';
  end if;
end $$;
