-- A distribution of a host: it serves nothing itself; what is pulled below its base path comes from a remote into a repository
-- with a distribution of its own, which came `via` this one.
alter table distribution alter column repository_id drop not null;
alter table distribution add column pull_through jsonb, add column via uuid references distribution on delete cascade;
alter table distribution add constraint distribution_serves check ((repository_id is null) = (pull_through is not null) and (pull_through is null or (version is null and via is null)));
create index distribution_via on distribution (via) where via is not null;
alter table deleted_distribution alter column repository_id drop not null;
