select key, state
from penstock.positions
where stream = $1 and source = $2
