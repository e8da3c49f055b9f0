-- when the source was last asked with success, as far as the ledger knows: a load that found nothing is a step alone
select max(asked_at)
from (
  select max(committed_at) as asked_at from penstock.loads where stream = {stream} and read > 0
  union all
  select max(started_at) from penstock.run_steps where kind = 'load' and name = {stream} and status = 'success'
) as asked
