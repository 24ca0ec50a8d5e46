-- What everybody who pulls there is told, by their client
alter table distribution add column warning text check (length(warning) between 1 and 200);
