module github.com/halfshake/halfshake/cmd/halfshake

go 1.26.0

require (
	github.com/alecthomas/kong v1.17.0
	github.com/halfshake/halfshake v0.0.0
	github.com/rogpeppe/go-internal v1.16.0
	go.uber.org/goleak v1.3.0
	golang.org/x/net v0.62.0
)

require (
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)

replace github.com/halfshake/halfshake => ../..
