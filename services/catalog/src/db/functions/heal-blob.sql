-- Damaged bytes are healed when they are written again, whatever door they come by. Under the old generation that is all; under a
-- new one registry has to hear of it, and so it has of bytes that were at a remote and come by a push.
create or replace function heal_blob() returns trigger language plpgsql as $$
begin
  new.damage := case
    when old.damage = 'missing' and new.generation = old.generation then null
    else 'healed'
  end;
  return new;
end $$;

create or replace trigger blob_healed
before update of state on blob
for each row
when (
  old.state in ('writing', 'remote')
  and new.state = 'present'
  and (old.damage is not null or (old.state = 'remote' and old.generation <> new.generation)))
execute function heal_blob();
