-- What refers to a manifest is asked for wherever manifests go or are copied.
create index manifest_subject on manifest (subject) where subject is not null;
