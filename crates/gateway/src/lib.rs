//! Model gateway: providers, routes, keys and the data plane
