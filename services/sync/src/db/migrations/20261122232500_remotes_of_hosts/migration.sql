-- A remote may name a host and no repository of it: for what is pulled through.
alter table remote drop constraint remote_one_or_many, drop constraint remote_target_of_many;
alter table remote add constraint remote_one_or_many check (upstream_name is null or cardinality(upstream_names) = 0),
  add constraint remote_target_of_many check ((target_prefix is not null) = (cardinality(upstream_names) > 0));
