"""Raw tables as their ledger has them, before models read them.

Where the catalog is not in the ledger's database, a load that ended between its two commits has left rows that the
ledger does not know. Models leave them out by their loads, but would miss those that they took the place of: a load
that replaces rows has removed them. So what the next load would take back is taken back before models are built.

A rewriting of a model's files that ended between the two is taken up: it has the same rows.
"""

from __future__ import annotations

from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING

from pyiceberg.exceptions import NoSuchTableError

from penstock.destinations.refusals import refusals
from penstock.destinations.spark.catalogs import RAW
from penstock.destinations.spark.destination import SparkDestination
from penstock.destinations.spark.known_models import KnownModels
from penstock.destinations.spark.take_back import newest_stamp, take_back
from penstock.logs import get_log

if TYPE_CHECKING:
    from penstock.project import Spark

_log = get_log(__name__)


def settle(settings: Spark) -> None:
    """Have raw tables hold no more than the ledger knows, and the ledger know which snapshots of models are rewritings
    of files. A load that is between its commits is waited for; others are not. Nothing where both are committed at
    once.

    Raises:
        LandingBlocked: the ledger has forgotten loads.
        DestinationError: the ledger, the catalog or the store cannot be reached.
    """
    if settings.catalog.in_ledger:
        return
    with closing(SparkDestination(settings)) as destination, refusals(destination):
        if not destination.is_prepared():
            return
        for name in destination.catalog.list_tables(RAW):
            stream = name[-1]
            table = destination.catalog.load_table(name)
            stamp = newest_stamp(table)
            if table.current_snapshot() is None or (stamp is not None and destination.is_known(stream, stamp)):
                continue
            with destination.transaction([stream]):
                table, newest = destination.catalog.load_table(name), destination.ledger.newest_load(stream)
                if take_back(table, newest, partial(destination.is_known, stream), where=destination.shown):
                    _log.warning("took back what a load left that never ended", table=".".join(name), newest=newest)
        models = KnownModels(destination.ledger)
        for name in models.names():
            with suppress(NoSuchTableError), destination.transaction():
                models.take_up(destination.catalog.load_table(name))
