// Pinned: what `helm version` says is what the charts were tested with.
module ringfence.local/localnode/helm

go 1.26.0

require helm.sh/helm/v4 v4.3.0
