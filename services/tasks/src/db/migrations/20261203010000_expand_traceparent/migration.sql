-- Whose trace the work goes on in. Without a default, so no row is written anew.
alter table task add column traceparent text;
