import penstock

report = penstock.run("shop")
print(report.status, report.total("landed"))
for load in report.loads:
    print(load.step.stream, load.step.source, round(load.seconds, 1))
