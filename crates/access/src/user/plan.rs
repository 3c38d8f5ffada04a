//! The status of a User. Pure.

use kube::ResourceExt;
use stead_kernel::{Timestamp, conditions};

use super::{User, UserStatus};

/// The status that the user should have.
pub(super) fn status(user: &User, password_set: bool, now: Timestamp) -> UserStatus {
    let (ready, reason, message) = if user.spec.disabled {
        (false, "Disabled", "spec.disabled keeps the user out".to_owned())
    } else if password_set {
        (true, "PasswordSet", String::new())
    } else {
        let message = format!("set a password: stead user passwd {}", user.name_any());
        (false, "NoPassword", message)
    };
    let old = user.status.clone().unwrap_or_default();
    let mut list = old.conditions;
    let generation = user.metadata.generation;
    conditions::set(
        &mut list,
        conditions::condition(conditions::READY, ready, reason, message, generation, now),
    );
    UserStatus {
        observed_generation: generation,
        password_set,
        conditions: list,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::UserSpec;

    #[test]
    fn a_user_is_ready_with_a_password_and_leave() {
        for (disabled, password, reason, ready) in [
            (false, true, "PasswordSet", "True"),
            (false, false, "NoPassword", "False"),
            (true, true, "Disabled", "False"),
        ] {
            let spec = UserSpec {
                disabled,
                ..UserSpec::default()
            };
            let mut user = User::new("ada", spec);
            let first = status(&user, password, Timestamp::UNIX_EPOCH);
            let condition = first.conditions.first().expect("a condition");
            assert_eq!(
                (condition.reason.as_str(), condition.status.as_str()),
                (reason, ready)
            );
            // Nothing changed, so there is nothing to write later.
            user.status = Some(first.clone());
            assert_eq!(status(&user, password, Timestamp::MAX), first);
        }
    }
}
