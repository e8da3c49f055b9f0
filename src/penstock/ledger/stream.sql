select identity, disposition
from penstock.streams
where stream = $1
