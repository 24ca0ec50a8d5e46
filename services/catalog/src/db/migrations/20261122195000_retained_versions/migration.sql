-- How many of the newest versions are kept, besides those that a distribution pins; null keeps all.
alter table repository add column retain_versions integer check (retain_versions > 0);
