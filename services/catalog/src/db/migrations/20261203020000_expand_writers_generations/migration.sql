-- Writers take numbers of generations before their bytes come, so a larger number is no later one. `placed` says of two places of one
-- digest which came later.
alter table blob add column placed bigint not null default nextval('blob_generation');

-- How long a link is kept for a manifest to come; null, where a lease of an older release says it.
alter table blob_link
  add column kept_until timestamptz,
  alter column revision set default 0;
