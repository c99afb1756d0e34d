-- Ids of stores, departments and store types: text in the user's data, whole numbers in the other tables. A number
-- is shown by its current id; a former id still has the number. Department 0, the whole store, has no id.
create table raw.id (
  dataset    text not null,
  "of"       text not null check ("of" in ('store', 'dept', 'type')),
  id         text collate "C" not null,
  number     integer not null check (number > 0),
  is_current boolean not null,
  batch_id   bigint not null references raw.batch,
  primary key (dataset, "of", id, batch_id)
);

-- Until now ids were whole numbers, and types letters from A to Z.
insert into raw.id
select dataset, 'store', store::text, store, true, min(batch_id)
from (
  select dataset, store, batch_id from raw.sales
  union all select dataset, store, batch_id from raw.store
  union all select dataset, store, batch_id from raw.store_week
  union all select dataset, store, batch_id from raw.extra
) as stores
group by dataset, store;
insert into raw.id
select dataset, 'dept', dept::text, dept, true, min(batch_id)
from (
  select dataset, dept, batch_id from raw.sales
  union all select dataset, dept, batch_id from raw.extra where dept <> 0
) as depts
group by dataset, dept;
insert into raw.id
select dataset, 'type', type, ascii(type) - 64, true, min(batch_id)
from raw.store where type ~ '^[A-Z]$' collate "C" group by dataset, type;

-- Null where unknown.
alter table raw.store alter column type drop not null, alter column size drop not null;
