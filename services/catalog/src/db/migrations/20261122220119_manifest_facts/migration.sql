-- What can be looked for in a manifest (libs/oci/src/manifest-facts.ts). Null until it was looked at, for those recorded before.
alter table manifest add column facts jsonb;
-- Whether its configuration still has to be looked into; until then `facts` say what the manifest does by itself.
alter table manifest add column config_unread boolean not null default true;
create index manifest_config_unread on manifest (digest) where config_unread;
