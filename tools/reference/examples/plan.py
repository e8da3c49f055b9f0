import datetime

import penstock

planned = penstock.plan("shop", date=datetime.date(2025, 3, 3))
for step in planned.loads:
    print(step.stream, step.source, step.window)
print("models too" if planned.models else "no models")
