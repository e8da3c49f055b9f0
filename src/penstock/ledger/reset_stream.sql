-- what the ledger knows of a stream, but for its loads: they did happen
delete from penstock.positions where stream = {stream};

delete from penstock.quarantine where stream = {stream};

delete from penstock.columns where stream = {stream};

delete from penstock.streams where stream = {stream};
