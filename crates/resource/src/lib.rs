//! Pure rules of the Kubernetes resource model: schemas, apply, patches, printer columns.
