create schema if not exists penstock;

create schema if not exists raw;

create sequence if not exists penstock.load_ids;

create table if not exists penstock.loads (
  load_id bigint primary key,
  seq bigint not null unique,
  stream {text} not null,
  source {text} not null,
  read bigint not null,
  landed bigint not null,
  duplicates bigint not null,
  quarantined bigint not null,
  deleted bigint not null,
  bytes bigint not null,
  started_at timestamp with time zone not null,
  committed_at timestamp with time zone not null
);

create table if not exists penstock.streams (
  stream {text} primary key,
  identity {text} not null,
  disposition {text} not null
);

create table if not exists penstock.positions (
  stream {text} not null,
  source {text} not null,
  key {text} not null,
  state {json} not null,
  load_id bigint not null,
  updated_at timestamp with time zone not null,
  primary key (stream, source, key)
);

create table if not exists penstock.quarantine (
  quarantine_id uuid primary key,
  stream {text} not null,
  source {text} not null,
  body {bytes} not null,
  reason_code {text} not null,
  reason {text} not null,
  origin {text} not null,
  headers {json},
  load_id bigint not null,
  quarantined_at timestamp with time zone not null,
  replayed_in bigint,
  dropped_at timestamp with time zone
);

create table if not exists penstock.columns (
  stream {text} not null,
  version integer not null,
  position integer not null,
  field {text} not null,
  name {text} not null,
  type {text} not null,
  declared boolean not null,
  variant boolean not null,
  primary key (stream, name)
);

create table if not exists penstock.runs (
  run_id bigint primary key,
  kind {text} not null,
  started_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  status {text} not null,
  upper_seq bigint,
  detail {json}
);

create sequence if not exists penstock.run_ids;

create table if not exists penstock.watermarks (
  model {text} primary key,
  seq bigint not null,
  updated_at timestamp with time zone not null
);

create table if not exists penstock.erasures (
  erasure_id uuid primary key,
  subject {text} not null,
  erased_at timestamp with time zone not null,
  counts {json} not null,
  salt {text} not null,
  ids {json} not null,
  rebuilt_at timestamp with time zone
);

-- columns that came later
alter table penstock.quarantine add column if not exists headers {json};

-- the run that another one was a part of
alter table penstock.runs add column if not exists parent_id bigint;

create table if not exists penstock.run_steps (
  run_id bigint not null,
  step integer not null,
  attempt integer not null,
  kind {text} not null,
  name {text} not null,
  source {text},
  status {text} not null,
  started_at timestamp with time zone not null,
  seconds double precision not null,
  read bigint,
  landed bigint,
  duplicates bigint,
  quarantined bigint,
  rows bigint,
  error {text},
  fix {text},
  primary key (run_id, step)
);

create table if not exists penstock.schedules (
  schedule {text} primary key,
  spec {text} not null,
  last_due timestamp with time zone,
  next_due timestamp with time zone,
  last_run bigint,
  updated_at timestamp with time zone not null
);

-- the newest: a ledger that has it has all of the above
create table if not exists penstock.alerts (
  alert {text} not null,
  subject {text} not null,
  state {text} not null,
  what {text} not null,
  first_failed_at timestamp with time zone not null,
  told {text},
  told_at timestamp with time zone,
  delivered_at timestamp with time zone,
  recovered_at timestamp with time zone,
  updated_at timestamp with time zone not null,
  detail {json} not null,
  primary key (alert, subject)
);
