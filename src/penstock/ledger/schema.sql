select version, field, name, type, declared, variant
from penstock.columns
where stream = $1
order by position
