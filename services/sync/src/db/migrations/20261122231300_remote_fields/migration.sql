-- One upstream repository, or several with the prefix that they get here.
alter table remote
  alter column upstream_name drop not null,
  add column upstream_names text[] not null default '{}',
  add column target_prefix text,
  add constraint remote_one_or_many check ((upstream_name is null) = (cardinality(upstream_names) > 0)),
  add constraint remote_target_of_many check ((upstream_name is null) = (target_prefix is not null));

-- How it is reached, and how gently. What is sealed has the remote's id and the name of the field as its context.
alter table remote
  add column platforms text[] not null default '{}',
  add column client_cert text,
  add column sealed_client_key bytea,
  add column proxy_url text,
  add column proxy_username text,
  add column sealed_proxy_password bytea,
  add column header_names text[] not null default '{}',
  add column sealed_headers bytea,
  add column token_hosts text[] not null default '{}',
  add column rate_limit double precision check (rate_limit > 0),
  add column timeouts jsonb,
  add column include_foreign_layers boolean not null default false,
  add column signatures jsonb,
  add constraint remote_client_pair check ((client_cert is null) = (sealed_client_key is null)),
  add constraint remote_headers_named check ((sealed_headers is null) = (cardinality(header_names) = 0));
