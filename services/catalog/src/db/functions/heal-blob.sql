-- Damaged bytes are healed when they are written again, whatever door they come by. Under the old generation that is all; under a
-- new one registry has to hear of it.
create or replace function heal_blob() returns trigger language plpgsql as $$
begin
  new.damage := case old.damage when 'missing' then null else 'healed' end;
  return new;
end $$;

create or replace trigger blob_healed
before update of state on blob
for each row
when (old.damage is not null and old.state in ('writing', 'remote') and new.state = 'present')
execute function heal_blob();
