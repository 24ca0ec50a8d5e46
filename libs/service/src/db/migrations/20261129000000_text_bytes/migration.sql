-- How many bytes texts take as JSON, for the generated columns by which pages of lists are cut. Not in a file of its own: other
-- figures would not change those that are stored.
create function text_bytes(p_texts text[]) returns integer language sql immutable as
$$ select coalesce(sum(octet_length(text) + 3), 0)::integer from unnest(p_texts) as text $$;
