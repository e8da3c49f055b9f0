insert into penstock.columns (stream, version, position, field, name, type, declared, variant)
values ($1, $2, $3, $4, $5, $6, $7, $8)
