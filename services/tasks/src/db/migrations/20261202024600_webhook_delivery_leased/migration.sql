-- What is being sent is counted at each claim, however much waits.
create index webhook_delivery_leased on webhook_delivery (webhook_id) where state = 'waiting' and leased_until is not null;
