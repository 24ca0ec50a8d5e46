-- Atomic signatures of manifests, as intervals like all content of versions (docs/decisions/0005)
create table signature_interval (
  repository_id uuid not null references repository on delete cascade,
  -- the digest of its manifest, `@`, 32 hex digits of the signer's choice
  name text collate "C" not null,
  since integer not null,
  until integer check (until >= since),
  digest text not null references manifest on delete cascade,
  -- base64
  content text not null,
  revision bigint not null,
  primary key (repository_id, name, since)
);
create unique index signature_open on signature_interval (repository_id, name) where until is null;
create index signature_digest on signature_interval (repository_id, digest) where until is null;
create index signature_revision on signature_interval (repository_id, revision);

update version set present = present || '{"signatures": 0}', added = added || '{"signatures": 0}', removed = removed || '{"signatures": 0}';
