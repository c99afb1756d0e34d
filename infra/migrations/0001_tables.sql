-- node-pg-migrate has created ops for its record of applied migrations.
create schema if not exists ops;
create schema raw;
create schema feast_registry;
create schema feast_offline;
create schema feast_online;

-- One row for each load. Rows of raw.* are never updated or deleted; a correction is a new batch.
create table raw.batch (
  batch_id     bigint generated always as identity primary key,
  dataset      text not null,
  request_id   text not null unique,
  source       jsonb not null,
  content_hash text not null,
  row_count    bigint not null,
  created_at   timestamptz not null default now()
);
create table raw.sales (
  dataset      text not null,
  store        integer not null,
  dept         integer not null,
  week         date not null,
  weekly_sales double precision not null,
  is_holiday   boolean not null,
  batch_id     bigint not null references raw.batch,
  primary key (dataset, store, dept, week, batch_id)
);
create table raw.store_week (
  dataset      text not null,
  store        integer not null,
  week         date not null,
  temperature  double precision,
  fuel_price   double precision,
  cpi          double precision,
  unemployment double precision,
  markdown1    double precision,
  markdown2    double precision,
  markdown3    double precision,
  markdown4    double precision,
  markdown5    double precision,
  is_holiday   boolean not null,
  batch_id     bigint not null references raw.batch,
  primary key (dataset, store, week, batch_id)
);
create table raw.store (
  dataset  text not null,
  store    integer not null,
  type     text not null,
  size     double precision not null,
  batch_id bigint not null references raw.batch,
  primary key (dataset, store, batch_id)
);
-- Covariates from the user's files (docs/data.md). The column "of" is series_week, store_week or store.
create table raw.declared_column (
  dataset           text not null,
  name              text not null,
  "of"              text not null,
  known_after_weeks integer,
  description       text not null,
  batch_id          bigint not null references raw.batch,
  primary key (dataset, name, batch_id)
);
-- Values of the covariates. Department 0 is the whole store and week 0001-01-01 all weeks, because a key cannot be null.
create table raw.extra (
  dataset  text not null,
  name     text not null,
  store    integer not null,
  dept     integer not null,
  week     date not null,
  value    double precision,
  batch_id bigint not null references raw.batch,
  primary key (dataset, name, store, dept, week, batch_id)
);

-- Newest origin week in the online store, per Feast project.
create table ops.feature_watermark (
  feast_project text primary key,
  watermark     date not null,
  snapshot_id   text not null,
  updated_at    timestamptz not null default now()
);

-- Snapshot and feature definitions of the rows in Feast's offline tables, per Feast project.
create table ops.offline_snapshot (
  feast_project       text primary key,
  snapshot_id         text not null,
  feature_set_version text not null,
  updated_at          timestamptz not null default now()
);

-- Forecasts of the champion, recorded before their target weeks.
create table ops.forecast (
  model_name    text not null,
  model_version integer not null,
  dataset       text not null,
  origin        date not null,
  store         integer not null,
  dept          integer not null,
  horizon       integer not null,
  target_week   date not null,
  p10           double precision not null,
  p50           double precision not null,
  p90           double precision not null,
  made_at       timestamptz not null default now(),
  primary key (model_name, dataset, model_version, origin, store, dept, horizon)
);
-- Forecasts with the actual sales of their target weeks, once these are known.
create table ops.forecast_accuracy (
  model_name    text not null,
  model_version integer not null,
  dataset       text not null,
  origin        date not null,
  store         integer not null,
  dept          integer not null,
  horizon       integer not null,
  target_week   date not null,
  p50           double precision not null,
  actual        double precision not null,
  inside_80     boolean not null,
  snapshot_id   text not null,
  recorded_at   timestamptz not null default now(),
  primary key (model_name, dataset, model_version, origin, store, dept, horizon)
);

-- Each change of traffic or alias, and its reason. The key makes a repeated activity write one row.
create table ops.rollout_audit (
  run_key     text not null,
  step        text not null,
  model_name  text not null,
  version     integer not null,
  action      text not null,
  weights     jsonb not null,
  reason      text not null,
  analysis    jsonb,
  recorded_at timestamptz not null default now(),
  primary key (run_key, step)
);
