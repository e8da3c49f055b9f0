import penstock

penstock.run("shop")
sql = "select event, count(*) from raw.events where visitor = $1 group by event order by event"
for event, number in penstock.query("shop", sql, ["v-101"]).rows:
    print(event, number)
