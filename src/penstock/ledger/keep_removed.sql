-- which models the project has no longer; their watermarks stay, in case they come back
update penstock.watermarks
set removed_at = case when model in ({models}) then null else current_timestamp end
where (removed_at is null) <> (model in ({models}))
