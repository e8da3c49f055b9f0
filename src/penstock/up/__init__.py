"""``penstock up``: what runs by itself, for as long as it is wished.

``trigger.py`` has models follow loads; ``supervisor.py`` keeps the parts of ``penstock up`` alive; ``figures.py``
counts what they do, ``serving.py`` answers for them over HTTP, and ``running.py`` finds and asks a process that is up.

``pipeline.py`` is a project as commands for a scheduler, told from its files alone; ``airflow.py`` makes DAGs of that,
and ``dag_files.py`` files with them.
"""
