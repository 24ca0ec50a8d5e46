-- Children of indexes that a stage leaves out: its commit neither asks for them nor puts them in.
create table stage_omission (stage text not null references stage on delete cascade, manifest text not null, child text not null, primary key (stage, manifest, child));
-- A staged tag without a digest stays as it is, with all that hangs on it.
alter table stage_tag alter column digest drop not null;
