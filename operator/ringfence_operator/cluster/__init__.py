"""The only code of the operator that talks outward: reads the cluster, applies manifests, pushes to gates.

Must not decide anything: what to do is handed in, what was found is handed back.
"""
