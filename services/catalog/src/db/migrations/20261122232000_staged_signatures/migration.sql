-- Atomic signatures that come with the manifests of a sync
create table stage_signature (stage text not null references stage on delete cascade, name text collate "C" not null, digest text not null, content text not null, primary key (stage, name));
