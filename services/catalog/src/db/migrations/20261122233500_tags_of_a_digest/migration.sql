-- One index for both questions: whether anything needs a digest, and which tags of a repository stand for it.
create index tag_interval_of_digest on tag_interval (digest, repository_id);
drop index tag_interval_digest, tag_digest;
