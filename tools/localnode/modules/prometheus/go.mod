// Prometheus excludes some releases of its dependencies; a main module has to repeat that.
module ringfence.local/localnode/prometheus

go 1.26.0

require github.com/prometheus/prometheus v0.315.0

// linodego 1.0.0 and grpc-gateway 1.14.7 are broken releases; see Prometheus' own go.mod.
exclude (
	github.com/grpc-ecosystem/grpc-gateway v1.14.7
	github.com/linode/linodego v1.0.0
	google.golang.org/api v0.30.0
)
