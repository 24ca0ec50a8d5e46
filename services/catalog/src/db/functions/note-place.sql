-- Whatever door gives a blob another place, registry can tell which came later: numbers of generations do not rise with time.
create or replace function note_place() returns trigger language plpgsql as $$
begin
  new.placed := nextval('blob_generation');
  return new;
end $$;

create or replace trigger blob_placed
before update of generation on blob
for each row
when (old.generation <> new.generation)
execute function note_place();
