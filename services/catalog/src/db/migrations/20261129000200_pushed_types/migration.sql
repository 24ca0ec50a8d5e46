-- The media type of a manifest belongs to it in a repository: as its client pushed it there, where its bytes leave it open. Empty: what
-- its bytes say, which is in manifest.
alter table manifest_interval
add column pushed_type text not null default '';
