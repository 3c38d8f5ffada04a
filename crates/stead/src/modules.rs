//! The list of domains: the one place that names them all.

use stead_kernel::{Collection, Module};

/// The collections of records that they declare.
pub(crate) fn collections() -> Vec<Collection> {
    all().into_iter().flat_map(|module| module.collections).collect()
}

/// Every domain, in the order in which they start.
pub(crate) fn all() -> Vec<Module> {
    vec![
        stead_access::module(),
        stead_models::module(),
        gateway(),
        stead_observe::module(),
        stead_chat::module(),
        stead_batches::module(),
    ]
}

/// The domain of the data plane, which can run on its own.
pub(crate) fn gateway() -> Module {
    stead_gateway::module()
}

/// The domain that reads usage back.
pub(crate) fn observe() -> Module {
    stead_observe::module()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use stead_kernel::{AccessRequest, Authorizer, GROUP, Principal, Verb};

    /// What a gateway process reads is told to `access` by name, since domains do not know each other.
    #[tokio::test]
    async fn a_gateway_may_read_every_kind_of_the_gateway_and_no_other() {
        let records = stead_testkit::FakePorts::default().records;
        let gateways = stead_access::Gateways::load(records).await.unwrap();
        gateways
            .create("eu-1", stead_kernel::Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
        let authorizer = stead_access::TableAuthorizer::new(gateways);
        for module in super::all() {
            for kind in module.kinds {
                let plural = kind.definition.spec.names.plural.clone();
                let request = AccessRequest {
                    verb: Verb::Watch,
                    group: GROUP,
                    resource: &plural,
                    subresource: "",
                    project: None,
                    name: None,
                };
                let may = authorizer
                    .authorize(&Principal::gateway("eu-1"), &request)
                    .is_ok();
                assert_eq!(
                    may,
                    module.name == "gateway",
                    "{plural}: see access/src/gateway/mod.rs"
                );
            }
        }
    }

    #[test]
    fn every_kind_of_the_gateway_that_names_a_secret_is_followed_for_its_secrets() {
        for kind in super::gateway().kinds {
            let schema = serde_json::to_value(&kind.definition).unwrap();
            let plural = &kind.definition.spec.names.plural;
            let followed = stead_access::SECRET_NAMING_KINDS
                .iter()
                .any(|(_, known)| known == plural);
            assert_eq!(
                names_secret(&schema),
                followed,
                "{plural}: see access/src/gateway/secrets.rs"
            );
        }
    }

    fn names_secret(schema: &Value) -> bool {
        match schema {
            Value::Object(fields) => fields
                .iter()
                .any(|(name, inner)| stead_access::names_a_secret(name) || names_secret(inner)),
            Value::Array(items) => items.iter().any(names_secret),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }
}
