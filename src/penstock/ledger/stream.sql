select identity, disposition, version
from penstock.streams
where stream = $1
