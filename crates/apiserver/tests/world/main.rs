//! The server as its users see it: kube's client and plain HTTP, over a real file.

mod access;
mod deletion;
mod durability;
mod hostile;
mod limits;
mod objects;
mod resume;
mod roles;
mod rules;
mod support;
mod surface;
mod watching;
