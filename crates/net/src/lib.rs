//! Connections in and out: address policy, outbound client, certificates, one port for TLS and plain HTTP
