-- Whether an export names the images of its Helm charts.
alter table export add column with_chart_images boolean not null default false;
