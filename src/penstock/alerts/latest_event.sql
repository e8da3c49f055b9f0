select max({column})
from raw.{table}
where _pen_load >= {load}
