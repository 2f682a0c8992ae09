"""What `kubectl kustomize` makes of deploy/k8s: it builds, is valid, and is what an operator was promised."""
