alter table penstock.quarantine add column if not exists headers {json};
