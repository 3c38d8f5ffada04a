//! Exit codes.

use stead_kernel::Reason;

/// All went well.
pub(crate) const OK: u8 = 0;
/// The arguments make no sense.
pub(crate) const USAGE: u8 = 2;
/// Ended by Ctrl-C, as shells count it.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit code that each reason ends with.
pub const fn code(reason: Reason) -> u8 {
    match reason {
        Reason::Invalid
        | Reason::TooLarge
        | Reason::Gone
        | Reason::Exhausted
        | Reason::Unsupported
        | Reason::Internal => 1,
        Reason::NotFound => 3,
        Reason::Unauthenticated | Reason::Forbidden => 4,
        Reason::Conflict => 5,
        Reason::Timeout => 6,
        Reason::Unavailable => 7,
    }
}

/// What the manual says about exit codes.
pub(crate) const HELP: &str = "\
Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 not found, 4 not allowed, 5 conflict, 6 timed out, 7 unreachable, \
130 interrupted.";
