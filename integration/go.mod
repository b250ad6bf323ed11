module github.com/tachikoma/tacho/integration

go 1.24

require (
	github.com/lib/pq v1.12.3
	github.com/tachikoma/tacho v0.0.0
)

replace github.com/tachikoma/tacho => ../
