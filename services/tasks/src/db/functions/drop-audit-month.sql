-- Drops the table of a month of the audit trail, with the rights of the owner of the schema as make_audit_month.
create or replace function drop_audit_month(p_table text) returns void
language plpgsql security definer set search_path from current as $$
begin
  if p_table !~ '^audit_\d{6}$' then
    raise exception '% is no table of a month', p_table;
  end if;
  execute format('drop table if exists %I', p_table);
end
$$;
