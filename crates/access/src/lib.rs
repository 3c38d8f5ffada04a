//! Sign-in, sessions, users and who may do what
