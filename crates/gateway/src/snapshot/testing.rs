//! Providers and routes for tests.

use std::{collections::HashMap, sync::Arc};

use super::{Api, HttpApi, Provider, Route, Target, compile, route::unknown};
use crate::{
    provider::{Availability, ProviderType},
    route::Strategy,
};

/// A provider over HTTP.
pub(crate) fn provider(name: &str, secret: Option<&str>) -> Provider {
    Provider {
        project: "default".into(),
        name: name.into(),
        kind: ProviderType::OpenAi,
        vendor: "openai".into(),
        availability: Availability::Everyone,
        api: Api::Http(Box::new(HttpApi {
            chats: vec![super::Spoken {
                wire: stead_dialects::chat::Wire::OpenAi,
                base: "http://provider.test/v1".into(),
            }],
            base: "http://provider.test/v1".into(),
            deployments: None,
            chat: "http://provider.test/v1/chat/completions".parse().unwrap(),
            completions: "http://provider.test/v1/completions".parse().unwrap(),
            embeddings: "http://provider.test/v1/embeddings".parse().unwrap(),
            headers: compile::headers(ProviderType::OpenAi, secret).unwrap(),
            sign_in: crate::signin::SignIn::Headers,
            secret: secret.map(Into::into),
        })),
        reach: stead_kernel::ports::Reach::Public,
        closed: false,
        models: Vec::new(),
        prices: crate::provider::prices::PriceList::default(),
        counters: Arc::default(),
        direct: unknown(),
    }
}

/// A target that cannot answer.
pub(crate) fn target(name: &str, availability: Availability) -> Target {
    let provider = Provider {
        availability,
        api: Api::Embedded(HashMap::new()),
        ..provider(name, None)
    };
    Target::new(&Arc::new(provider), "m", unknown())
}

/// A route over targets given as name, weight and priority.
pub(crate) fn route(strategy: Strategy, targets: &[(&str, u32, u32)]) -> Route {
    let mut targets: Vec<Target> = targets
        .iter()
        .map(|(name, weight, priority)| Target {
            weight: *weight,
            priority: *priority,
            ..target(name, Availability::Everyone)
        })
        .collect();
    targets.sort_by_key(|target| target.priority);
    Route {
        strategy,
        backoff: std::time::Duration::from_millis(1),
        ..Route::over("chat".into(), targets)
    }
}
