-- when a stream last landed, among many loads of many streams; DuckDB's zone maps serve as well
create index if not exists loads_by_stream on penstock.loads (stream, committed_at);
