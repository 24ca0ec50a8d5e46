-- What is recorded stays as it is: rows go with the table of their month alone.
create or replace function keep_audit() returns trigger
language plpgsql as $$
begin
  raise exception 'the audit trail is not changed: % of % is refused', tg_op, tg_table_name
    using errcode = 'BR009';
end
$$;

create or replace trigger audit_is_kept
before update or delete on audit
for each row execute function keep_audit();

create or replace trigger audit_is_not_emptied
before truncate on audit
for each statement execute function keep_audit();
