-- The first version of a run of retention that took several: to `retainVersions` they count as one.
alter table version add column part_of integer;
