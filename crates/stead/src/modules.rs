//! The list of domains: the one place that names them all.

use stead_kernel::Module;

/// Every domain, in the order in which they start.
pub(crate) fn all() -> Vec<Module> {
    vec![
        stead_access::module(),
        stead_models::module(),
        stead_gateway::module(),
        stead_observe::module(),
        stead_chat::module(),
    ]
}
