"""``penstock up``: what runs by itself, for as long as it is wished.

``parts.py`` plans what runs, as data; ``supervisor.py`` performs that, and ``keeping.py`` keeps each part alive.
``trigger.py`` has models follow loads, ``scheduled.py`` loads by the clock, ``alerting.py`` watches the others.
``figures.py`` counts what they do, ``serving.py`` answers for them over HTTP, and ``running.py`` finds and asks a
process that is up.
"""
