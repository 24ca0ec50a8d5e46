-- What tasks is to keep of the changes made here, each written in the transaction of its change; deleted once tasks has it.
create table audit_outbox (
  number bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  entry jsonb not null
);
