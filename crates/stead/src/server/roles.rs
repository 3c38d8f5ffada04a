//! Which sort of process follows from what was asked for. Pure.

use stead_kernel::{Error, Result, Role, Roles};

/// A sort of process that can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// State and events in this process; the model APIs too, if the gateway is one of the roles.
    Home(Roles),
    /// The model APIs alone, over the state of another process.
    Gateway,
}

/// Decides, or says why what was asked for cannot work.
///
/// # Errors
/// `Invalid` when a role lacks what it needs; `Unsupported` for what would need other stores than SQLite.
pub(crate) fn sort(roles: Roles, control: Option<&str>) -> Result<Sort> {
    let (has_control, has_telemetry, has_gateway) = (
        roles.has(Role::Control),
        roles.has(Role::Telemetry),
        roles.has(Role::Gateway),
    );
    match (has_control, has_telemetry, has_gateway, control) {
        (true, true, _, None) => Ok(Sort::Home(roles)),
        (false, false, _, Some(_)) => Ok(Sort::Gateway),
        (false, false, _, None) => Err(Error::invalid(
            "the gateway role alone needs a control process to read its resources from",
        )
        .hint("--control https://HOST:7832 --token-file FILE; or run the data plane from files: stead gateway --config DIR")),
        (true, _, _, Some(_)) => Err(Error::unsupported(
            "--control names another control process, and this one has the control role itself: two of them \
             would need a state that both can write, which is not there yet",
        )
        .hint("leave --control away, or run: --roles gateway")),
        (false, true, _, Some(_)) => Err(Error::unsupported(
            "the control process keeps the events, and a second writer of events would need ClickHouse, which is not \
             there yet: SQLite has one writer",
        )
        .hint("run: --roles gateway")),
        (true, false, _, None) => Err(Error::unsupported(
            "the control role needs the telemetry role in the same process: its audit records have no other home until \
             events can be kept in ClickHouse",
        )
        .hint("run: --roles control,telemetry")),
        (false, true, _, None) => Err(Error::unsupported(
            "the telemetry role needs the control role in the same process, which knows who may read and write events",
        )
        .hint("run: --roles control,telemetry")),
    }
}

#[cfg(test)]
mod tests {
    use stead_kernel::Reason;

    use super::*;

    #[test]
    fn every_combination_of_roles_starts_or_says_why_not() {
        let url = Some("https://control:7832");
        let home = |text: &str| Ok(Sort::Home(text.parse().unwrap()));
        let table = [
            (
                "control,telemetry,gateway",
                None,
                home("control,telemetry,gateway"),
            ),
            ("control,telemetry", None, home("control,telemetry")),
            ("gateway", url, Ok(Sort::Gateway)),
            ("gateway", None, Err(Reason::Invalid)),
            ("control", None, Err(Reason::Unsupported)),
            ("telemetry", None, Err(Reason::Unsupported)),
            ("control,gateway", None, Err(Reason::Unsupported)),
            ("telemetry,gateway", None, Err(Reason::Unsupported)),
            ("telemetry,gateway", url, Err(Reason::Unsupported)),
            ("telemetry", url, Err(Reason::Unsupported)),
            ("control", url, Err(Reason::Unsupported)),
            ("control,telemetry", url, Err(Reason::Unsupported)),
            ("control,telemetry,gateway", url, Err(Reason::Unsupported)),
        ];
        for (roles, control, expected) in table {
            let found = sort(roles.parse().unwrap(), control).map_err(|error| error.reason());
            assert_eq!(found, expected, "{roles} {control:?}");
        }
    }
}
