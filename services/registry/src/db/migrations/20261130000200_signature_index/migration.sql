-- Not the repository first: an index that begins with it may be taken to find a signature by its name, and that reads all of the repository.
drop index served_signature_digest;
create index served_signature_digest on served_signature (digest, repository_id);
