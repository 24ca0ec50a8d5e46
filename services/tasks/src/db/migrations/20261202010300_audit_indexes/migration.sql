-- Accounts and objects are looked for by id or by the name that they had.
create index audit_by_actor_name on audit (actor, at);
create index audit_by_object_id on audit (object_id, at);
