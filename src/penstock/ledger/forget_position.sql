delete from penstock.positions
where stream = $1 and source = $2 and key = $3
