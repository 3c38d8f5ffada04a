//! The Kubernetes resource API over SQLite, generic over custom resource definitions
