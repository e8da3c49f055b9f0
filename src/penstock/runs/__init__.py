"""A run, as anyone can call it: the command line, ``penstock up``, Airflow, and other programs."""
