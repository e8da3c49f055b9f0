from pathlib import Path

import penstock
from penstock.destinations import open_destination

project = penstock.load_project(Path("shop"))
elsewhere = open_destination(project.destination.model_copy(update={"path": Path("elsewhere.duckdb").absolute()}))
report = penstock.run(project, destination=elsewhere)
print(report.total("landed"), elsewhere.query("select count(*) from raw.events").rows)
elsewhere.close()
