-- Members of the levels that a declaration names (docs/data.md): the region of a store, the category of a department. The
-- column "of" is store or dept; the member is null where unknown.
create table raw.level_member (
  dataset  text not null,
  level    text not null,
  "of"     text not null check ("of" in ('store', 'dept')),
  number   integer not null check (number > 0),
  member   text collate "C",
  batch_id bigint not null references raw.batch,
  primary key (dataset, level, "of", number, batch_id)
);
