update penstock.streams
set version = $2
where stream = $1
