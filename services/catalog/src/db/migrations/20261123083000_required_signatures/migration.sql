-- Whose signatures content must have that comes into a repository from upstream: {"require", "keys"}; null asks for none.
alter table repository add column signatures jsonb;
