-- At most one pull-through distribution is the mirror of the root, and that one is open to everybody.
create unique index distribution_mirror_of_root on distribution ((true)) where pull_through @> '{"mirrorOfRoot": true}';
alter table distribution add constraint distribution_mirror_is_open check (
  not pull_through @> '{"mirrorOfRoot": true}' or (access = 'public' and pull_through ->> 'trigger' = 'anonymous'));
