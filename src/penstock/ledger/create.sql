create sequence if not exists penstock.load_ids;

-- Every load that was committed, and what became of the records it read.
create table if not exists penstock.loads (
  load_id bigint primary key, -- handed out when the load starts, so no order can be read from it
  seq bigint not null unique, -- the order of commits: who has seen a number has seen all below it
  stream {text} not null, -- the stream it landed in
  source {text} not null, -- the source it read
  read bigint not null, -- records read: landed + duplicates + quarantined; of a reset 0
  landed bigint not null, -- records that became rows, or changed one
  duplicates bigint not null, -- records that were there, or lost against the row that is there
  quarantined bigint not null, -- records that went to quarantine
  deleted bigint not null, -- rows that a replacing load or a reset of the stream took away
  bytes bigint not null, -- bytes of the records read
  started_at timestamp with time zone not null, -- when it began to read
  committed_at timestamp with time zone not null -- just before the commit
);

-- What a stream was when it first landed, which its table depends on.
create table if not exists penstock.streams (
  stream {text} primary key, -- its name
  identity {text} not null, -- its identity at its first landing: another one is refused
  disposition {text} not null -- its disposition at its first landing
);

-- How far each source has been read.
create table if not exists penstock.positions (
  stream {text} not null, -- the stream it is read for
  source {text} not null, -- the source that is read
  key {text} not null, -- what is read: a file, a stream queue, an endpoint
  state {json} not null, -- how far, in the source's own words
  load_id bigint not null, -- the load that moved it last
  updated_at timestamp with time zone not null, -- when
  primary key (stream, source, key)
);

-- Records that could not land, whole and with their reason.
create table if not exists penstock.quarantine (
  quarantine_id uuid primary key, -- a hash of the stream, the bytes and the headers: the same record waits once
  stream {text} not null, -- the stream it was for
  source {text} not null, -- the source it came by
  body {bytes} not null, -- its bytes as they came
  reason_code {text} not null, -- why, as a code
  reason {text} not null, -- why, in words
  origin {text} not null, -- where it was: file and line, queue, page
  headers {json}, -- of a message: its headers
  bytes bigint, -- how many bytes the body has
  load_id bigint not null, -- the load that put it here
  quarantined_at timestamp with time zone not null, -- when
  replayed_in bigint, -- the load that landed it after all; null while it waits
  dropped_at timestamp with time zone -- when it was given up; null while it waits
);

-- The columns of each stream's raw table, in the order in which they came.
create table if not exists penstock.columns (
  stream {text} not null, -- the stream
  version integer not null, -- the schema's version with which it came
  position integer not null, -- its place in the table
  field {text} not null, -- the field of the record
  name {text} not null, -- the column of the table
  type {text} not null, -- its type, as contracts name it
  declared boolean not null, -- whether the project declares it
  variant boolean not null, -- whether it is for values of a type that the field's own column does not hold
  primary key (stream, name)
);

-- What ran: kept for 30 days.
create table if not exists penstock.runs (
  run_id bigint primary key, -- the number that penstock runs shows
  kind {text} not null, -- load, run, backfill, transform, schedule, erase
  started_at timestamp with time zone not null, -- when it began
  ended_at timestamp with time zone, -- when it ended; null while it runs
  status {text} not null, -- running, success, error, stopped, cut off
  upper_seq bigint, -- of a transform: the commit up to which its models were built
  detail {json} -- more of the kind: the process, the days asked for, what was built
);

create sequence if not exists penstock.run_ids;

-- How far each model has taken in its inputs.
create table if not exists penstock.watermarks (
  model {text} primary key, -- schema and name of the model
  seq bigint not null, -- the commit up to which it holds its inputs
  updated_at timestamp with time zone not null -- when
);

-- The proof that a person was erased, without saying who it was.
create table if not exists penstock.erasures (
  erasure_id uuid primary key, -- its number
  subject {text} not null, -- the keyed pseudonym of kind and id
  erased_at timestamp with time zone not null, -- when the rows went
  counts {json} not null, -- rows by table
  salt {text} not null, -- random, of this erasure alone
  ids {json} not null, -- salted hashes of the identities of the rows that went
  rebuilt_at timestamp with time zone -- when the models were built without them; null until then
);

-- columns that came later
alter table penstock.quarantine add column if not exists headers {json};
-- bytes: how many bytes the body has, so that a list needs no bodies
alter table penstock.quarantine add column if not exists bytes bigint;
update penstock.quarantine set bytes = octet_length(body) where bytes is null;

-- parent_id: the run that this one was a part of
alter table penstock.runs add column if not exists parent_id bigint;

-- schedule: whose run it is; null of one that no schedule began
alter table penstock.runs add column if not exists schedule {text};
-- layer: of a transform, the one that it built; null when it built all
alter table penstock.runs add column if not exists layer {text};
-- fingerprint: of a transform, which state of dbt's files it built
alter table penstock.runs add column if not exists fingerprint {text};
-- whole: of a transform, whether it tested whole tables
alter table penstock.runs add column if not exists whole boolean;
-- selected: of a transform, whether it built chosen models alone
alter table penstock.runs add column if not exists selected boolean;
update penstock.runs
set
  schedule = detail ->> 'schedule',
  layer = detail ->> 'layer',
  fingerprint = detail ->> 'fingerprint',
  whole = cast(detail ->> 'whole' as boolean)
where schedule is null and layer is null and fingerprint is null and whole is null;

-- The loads, models and tests of each run.
create table if not exists penstock.run_steps (
  run_id bigint not null, -- the run
  step integer not null, -- its place in the run
  attempt integer not null, -- which try it was
  kind {text} not null, -- load, transform, model, test
  name {text} not null, -- the stream, the model or the test
  source {text}, -- of a load: the source
  status {text} not null, -- success, error, or dbt's word
  started_at timestamp with time zone not null, -- when it began
  seconds double precision not null, -- how long it took
  read bigint, -- of a load: records read
  landed bigint, -- records landed
  duplicates bigint, -- records that were there
  quarantined bigint, -- records that went to quarantine
  rows bigint, -- of a model: rows written, where the engine says so
  error {text}, -- what went wrong
  fix {text}, -- what mends it
  primary key (run_id, step)
);

-- How far each schedule is done.
create table if not exists penstock.schedules (
  schedule {text} primary key, -- the stream's, or the project's
  spec {text} not null, -- the schedule as it was: another one begins anew
  last_due timestamp with time zone, -- the last moment that was done
  next_due timestamp with time zone, -- the next one
  last_run bigint, -- the run that did it
  updated_at timestamp with time zone not null -- when this was written
);

-- What fails or failed, and what was told of it: kept for 30 days after it was over.
create table if not exists penstock.alerts (
  alert {text} not null, -- the alert's name, as in the list of alerts
  subject {text} not null, -- what it is about: a stream's expectation, a schedule, a part
  state {text} not null, -- failing, well while it has to stay so for a while, over
  what {text} not null, -- what is wrong
  first_failed_at timestamp with time zone not null, -- when it began
  told {text}, -- the last message: failed, reminded, recovered; null when there was none
  told_at timestamp with time zone, -- when that was made
  delivered_at timestamp with time zone, -- when it reached somebody; null until then
  recovered_at timestamp with time zone, -- when it was over; null until then
  updated_at timestamp with time zone not null, -- when this was written
  detail {json} not null, -- all of it, for the next process
  primary key (alert, subject)
);

-- removed_at: since when the model is not in the project any more; null while it is
alter table penstock.watermarks add column if not exists removed_at timestamp with time zone;

-- version: the field whose values decide which row of a key stays; null without one
alter table penstock.streams add column if not exists version {text};
