-- Since when it is gone: a message that comes later than this is long would be no message any more.
alter table gone_distribution add column gone_at timestamptz not null default now();
