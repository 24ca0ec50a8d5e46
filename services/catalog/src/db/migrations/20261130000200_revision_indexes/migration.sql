-- Only a query that says `revision > 0` may use these (intervals/tables.ts). To one that looks up a single row they seemed as good as its
-- own index while the tables were small; that plan was kept, and walked over a whole repository for each layer of an image.
drop index tag_revision;
create index tag_revision on tag_interval (repository_id, revision) where revision > 0;

drop index manifest_revision;
create index manifest_revision on manifest_interval (repository_id, revision) where revision > 0;

drop index blob_revision;
create index blob_revision on blob_interval (repository_id, revision) where revision > 0;

drop index signature_revision;
create index signature_revision on signature_interval (repository_id, revision) where revision > 0;

drop index blob_link_revision;
create index blob_link_revision on blob_link (repository_id, revision) where revision > 0;

-- It began with the repository as well, and a signature is found by its name.
drop index signature_digest;
drop index signature_interval_digest;
create index signature_interval_digest on signature_interval (digest, repository_id);
