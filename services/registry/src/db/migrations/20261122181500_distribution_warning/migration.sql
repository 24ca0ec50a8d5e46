alter table pointer add column warning text;
