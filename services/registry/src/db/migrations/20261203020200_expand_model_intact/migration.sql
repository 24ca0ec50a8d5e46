-- Changes of the read model are committed without a flush, for all of it can be had from catalog again. PostgreSQL empties an unlogged
-- table when it recovers from a crash: without a row here the model may lack the last changes (model/intact.ts).
create unlogged table model_intact (
  token uuid primary key,
  compared boolean not null default false
);
insert into model_intact values (gen_random_uuid(), true);
