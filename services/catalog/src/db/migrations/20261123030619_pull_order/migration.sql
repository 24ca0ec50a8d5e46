-- Several replicas may ask upstream about one tag at once: whoever asked before another one's answer was taken over may bring what
-- is older, and asks again (docs/decisions/0019).
create sequence pull_order;
create table pulled_tag (
  repository_id uuid not null references repository on delete cascade,
  name text collate "C" not null,
  -- when upstream's last answer was taken over, or found to be what is here
  answered bigint not null,
  primary key (repository_id, name)
);
