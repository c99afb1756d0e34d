-- Stores and departments that became part of another one (docs/data.md). The rows of other tables keep the number that they were
-- loaded with; whoever reads them sums. A number in into_number is never a number of its own row here.
create table raw.merge (
  dataset     text not null,
  "of"        text not null check ("of" in ('store', 'dept')),
  number      integer not null check (number > 0),
  into_number integer not null check (into_number > 0 and into_number <> number),
  batch_id    bigint not null references raw.batch,
  primary key (dataset, "of", number, batch_id)
);
