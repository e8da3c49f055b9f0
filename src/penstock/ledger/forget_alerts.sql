delete from penstock.alerts
where recovered_at < $1
