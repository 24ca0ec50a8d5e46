-- Attempts are counted by the network that they come from: an address of IPv4 or a /64 of IPv6, and the /48 around it.
truncate login_attempt;
drop index login_attempt_by_ip;
alter table login_attempt rename column ip to network;
alter table login_attempt add column site text not null;

-- The last password that was right for an account, as an HMAC under a key that the database does not have.
create table known_login (
  account uuid primary key references account on delete cascade,
  mark bytea not null,
  at timestamptz not null default now()
);
