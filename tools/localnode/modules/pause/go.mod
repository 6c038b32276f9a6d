// The program that holds a pod's namespaces open. Ours, so that no registry and no C compiler is needed.
module ringfence.local/localnode/pause

go 1.21
