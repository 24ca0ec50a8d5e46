-- When upstream showed that it has something: by the bytes, or as one who gave them once from another of its repositories. Null:
-- it only named it (docs/decisions/0022).
alter table content_source add column given_at timestamptz;
