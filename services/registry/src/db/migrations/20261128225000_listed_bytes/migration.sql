-- As in catalog: of annotations whole entries are kept up to 64 KiB, in byte order of their keys.
with entry as (
  select digest, key, value,
    sum(octet_length(to_json(key)::text) + octet_length(to_json(value)::text) + 2) over (partition by digest order by key collate "C") as bytes
  from manifest_facts, jsonb_each_text(annotations)
  where octet_length(annotations::text) > 65536
),
kept as (
  select digest, coalesce(jsonb_object_agg(key, value) filter (where bytes <= 65536), '{}') as annotations
  from entry
  group by digest
)
update manifest_facts set annotations = kept.annotations from kept where manifest_facts.digest = kept.digest;

-- How many bytes a manifest takes in a list of referrers, so that a page is cut without reading what is cut off.
alter table manifest_facts add column listed_bytes integer generated always as
  (400 + octet_length(media_type) + coalesce(octet_length(artifact_type), 0) + octet_length(annotations::text)) stored;
