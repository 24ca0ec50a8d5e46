-- What is over is deleted from time to time, and the facts of what is served nowhere.
create index served_tag_over on served_tag (repository_id) where until <= since;
create index served_manifest_over on served_manifest (repository_id) where until <= since;
create index served_blob_over on served_blob (repository_id) where until <= since;
create index served_signature_over on served_signature (repository_id) where until <= since;
create index served_manifest_digest on served_manifest (digest);
