-- When a tag moves, its interval ends: a rollback ends those of all tags at once. With room left on its page, and no index that
-- names `until`, the row is changed where it is, and no index hears of it: a third of the time of very many. What is over at once
-- is so rare that looking for it goes through the rows of a repository.
drop index served_tag_over;
alter table served_tag set (fillfactor = 50);
