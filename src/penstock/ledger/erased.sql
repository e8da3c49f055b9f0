select distinct subject
from penstock.erasures
