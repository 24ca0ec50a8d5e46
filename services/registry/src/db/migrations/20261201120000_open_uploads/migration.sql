-- How many uploads of an account are open is looked at when another one gets its first bytes.
create index upload_session_open on upload_session (subject) where state = 'open';
