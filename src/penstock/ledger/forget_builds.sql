-- of models that are of another materialization now, how they were built: should it come back, they are built anew
delete from penstock_changes.models
where
  model in ({others})
  or (model in ({incremental}) and mode <> 'incremental')
  or (model in ({penstock}) and mode = 'incremental')
