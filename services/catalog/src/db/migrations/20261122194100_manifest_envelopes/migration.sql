-- The bytes as pushed, where the manifest's digest is of a part of them: signed schema 1. A reference at place 0 keeps them.
alter table manifest add column envelope text references blob;
