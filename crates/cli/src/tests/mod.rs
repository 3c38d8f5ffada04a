//! Whole commands against a server that speaks discovery, tables and `Status`.

mod errors;
mod reading;
mod server;
mod tls;
mod tree;
mod waiting;
mod world;
mod writing;
