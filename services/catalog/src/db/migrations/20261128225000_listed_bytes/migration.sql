-- How many bytes a row takes in a list, so that a page is cut without reading what is cut off. The texts of jsonb are somewhat
-- longer than the JSON that is sent.

-- Of annotations whole entries are kept up to 64 KiB, in byte order of their keys; the manifest's own bytes have them all.
with entry as (
  select digest, key, value,
    sum(octet_length(to_json(key)::text) + octet_length(to_json(value)::text) + 2) over (partition by digest order by key collate "C") as bytes
  from manifest, jsonb_each_text(annotations)
  where octet_length(annotations::text) > 65536
),
kept as (
  select digest, coalesce(jsonb_object_agg(key, value) filter (where bytes <= 65536), '{}') as annotations
  from entry
  group by digest
)
update manifest set annotations = kept.annotations from kept where manifest.digest = kept.digest;

alter table manifest add column listed_bytes integer generated always as
  (500 + octet_length(annotations::text) + coalesce(octet_length(facts::text), 0)) stored;
alter table repository add column listed_bytes integer generated always as
  (800 + octet_length(description) + octet_length(labels::text) + coalesce(octet_length(retention::text), 0)
    + coalesce(octet_length(signatures::text), 0)) stored;
alter table distribution add column listed_bytes integer generated always as
  (1500 + coalesce(octet_length(warning), 0) + coalesce(octet_length(pull_through::text), 0)) stored;
alter table namespace add column listed_bytes integer generated always as
  (500 + octet_length(labels::text) + coalesce(octet_length(retention::text), 0)) stored;

-- A page of a cursor: at most so many rows, and no more once they have so many bytes.
create function fetch_page(p_cursor text, p_rows integer, p_bytes bigint) returns setof jsonb language plpgsql as $$
declare
  v_cursor refcursor := p_cursor;
  v_row jsonb;
  v_bytes bigint := 0;
begin
  for i in 1..p_rows loop
    fetch next from v_cursor into v_row;
    exit when not found;
    return next v_row;
    v_bytes := v_bytes + pg_column_size(v_row);
    exit when v_bytes >= p_bytes;
  end loop;
end $$;
