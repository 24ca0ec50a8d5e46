-- Makes the table of a month of the audit trail, whose first moment is given. With the rights of the owner of the schema, for the user of
-- the service may be one that makes no tables.
create or replace function make_audit_month(p_table text, p_first timestamptz) returns void
language plpgsql security definer set search_path from current as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('months of the audit trail', 0));
  if p_table !~ '^audit_\d{6}$' then
    raise exception '% is no table of a month', p_table;
  end if;
  execute format(
    'create table if not exists %I partition of audit for values from (%L) to (%L)',
    p_table, p_first, (p_first at time zone 'UTC' + interval '1 month') at time zone 'UTC');
  -- That of the whole does not hold for a part that is emptied by its own name.
  execute format(
    'create or replace trigger audit_is_not_emptied
     before truncate on %I
     for each statement execute function keep_audit()',
    p_table);
end
$$;
