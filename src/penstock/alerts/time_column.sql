select name, type
from penstock.columns
where stream = {stream} and field = {field} and not variant
