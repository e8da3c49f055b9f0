from pathlib import Path

import penstock

project = penstock.load_project(Path("shop"))
with penstock.Session(project) as session:
    for step in penstock.plan(project).loads:
        print(step.stream, session.load(step).total("landed"))
    # again, with all of it warm: what came meanwhile
    for step in penstock.plan(project).loads:
        print(step.stream, session.load(step).total("landed"))
