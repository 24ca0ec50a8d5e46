-- Whether each pull from a namespace is listed in the audit trail.
alter table namespace add column audit_pulls boolean not null default false;
create index namespace_audits_pulls on namespace (name) where audit_pulls;
