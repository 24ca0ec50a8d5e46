-- Blobs that come although their manifests are whole without them: foreign layers that were fetched.
create table stage_blob (stage text not null references stage on delete cascade, digest text not null, primary key (stage, digest));
