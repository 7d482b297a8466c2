module github.com/halfshake/halfshake/bench

go 1.26.0

require (
	github.com/halfshake/halfshake v0.0.0
	github.com/halfshake/halfshake/stores/boltstore v0.0.0
)

require (
	go.etcd.io/bbolt v1.5.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace (
	github.com/halfshake/halfshake => ../
	github.com/halfshake/halfshake/stores/boltstore => ../stores/boltstore
)
