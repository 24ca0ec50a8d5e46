-- With whose rights it was decided what was sent: to others the log shows it as far as they may see that event.
alter table webhook_try add column account_id uuid;
