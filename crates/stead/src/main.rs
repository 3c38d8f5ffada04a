//! The `stead` program.
fn main() {}
