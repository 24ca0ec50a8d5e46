-- The media type with which a manifest was pushed into a repository; empty, where that is what its bytes say, which is in
-- manifest_facts.
alter table served_manifest
add column pushed_type text not null default '';
