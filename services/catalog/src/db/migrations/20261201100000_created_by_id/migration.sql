-- The account that did it, which decides; the name beside it is shown, and another account may have it by now.
-- Null: Berth itself, or nobody.
alter table namespace add column created_by_id uuid;
alter table repository add column created_by_id uuid;
alter table version add column created_by_id uuid;
alter table distribution add column created_by_id uuid;

-- Who may have something fetched was kept by name. Those names were of accounts that may be others by now, so they let nobody
-- until they are set again.
update distribution
set pull_through = jsonb_set(pull_through, '{trigger}', (
  select coalesce(jsonb_agg(jsonb_build_object('id', null, 'name', kept.name)), '[]')
  from jsonb_array_elements_text(pull_through -> 'trigger') as kept (name)))
where jsonb_typeof(pull_through -> 'trigger') = 'array';
