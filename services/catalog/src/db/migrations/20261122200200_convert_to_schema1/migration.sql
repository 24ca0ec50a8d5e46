-- Whether old clients that know nothing newer get images as Docker schema 1
alter table distribution add column convert_to_schema1 boolean not null default false;
