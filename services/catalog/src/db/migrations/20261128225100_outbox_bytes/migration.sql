-- How many bytes an event has as JSON, so that who catches up reads them a few at a time.
alter table outbox add column event_bytes integer generated always as (octet_length(event::text)) stored;
