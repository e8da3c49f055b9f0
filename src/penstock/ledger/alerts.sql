select detail
from penstock.alerts
