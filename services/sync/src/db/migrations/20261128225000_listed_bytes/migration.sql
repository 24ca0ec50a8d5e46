-- How many bytes a row takes in a list, so that a page is cut without reading what is cut off.
create function text_bytes(p_texts text[]) returns integer language sql immutable as
$$ select coalesce(sum(octet_length(text) + 3), 0)::integer from unnest(p_texts) as text $$;

alter table remote add column listed_bytes integer generated always as
  (2000 + octet_length(url) + text_bytes(upstream_names) + text_bytes(include_tags) + text_bytes(exclude_tags) + text_bytes(platforms)
    + text_bytes(token_hosts) + text_bytes(header_names) + coalesce(octet_length(ca_cert), 0) + coalesce(octet_length(client_cert), 0)
    + coalesce(octet_length(signatures::text), 0) + coalesce(octet_length(timeouts::text), 0)) stored;
alter table sync_run add column listed_bytes integer generated always as
  (1500 + coalesce(octet_length(result::text), 0) + coalesce(octet_length(error::text), 0)) stored;
