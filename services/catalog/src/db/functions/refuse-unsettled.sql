-- Nothing comes on top of a rollback before its intervals are written (docs/decisions/0024).
create or replace function refuse_unsettled() returns trigger language plpgsql as $$
begin
  raise exception 'version % of % is not settled', old.latest_version, old.name using errcode = '40001';
end $$;

create or replace trigger repository_settled
before update of latest_version on repository
for each row
when (old.content_of is not null and new.content_of is not null and new.latest_version <> old.latest_version)
execute function refuse_unsettled();
