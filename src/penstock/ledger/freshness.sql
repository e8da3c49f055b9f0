-- when the last load that each model has taken in was committed
select w.model, l.committed_at
from penstock.watermarks w
join penstock.loads l on l.seq = w.seq
where w.removed_at is null
