-- Who may have something fetched is an account by its id. The names that were kept let nobody until they are set again.
update pull_through
set trigger = '[]'
where jsonb_typeof(trigger) = 'array';
