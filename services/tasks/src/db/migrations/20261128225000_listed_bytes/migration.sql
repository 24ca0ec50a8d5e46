-- How many bytes a task takes in a list, so that a page is cut without reading what is cut off.
create function text_bytes(p_texts text[]) returns integer language sql immutable as
$$ select coalesce(sum(octet_length(text) + 3), 0)::integer from unnest(p_texts) as text $$;

alter table task add column listed_bytes integer generated always as
  (500 + text_bytes(resources) + octet_length(progress::text) + coalesce(octet_length(result::text), 0)
    + coalesce(octet_length(error::text), 0)) stored;
