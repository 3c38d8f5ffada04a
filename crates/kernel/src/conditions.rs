//! Helpers for `status.conditions`, as the Kubernetes API conventions define them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::Timestamp;

/// The condition type that says an object does what it is for.
pub const READY: &str = "Ready";

/// The three values of a condition's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows (yet).
    Unknown,
}

impl ConditionStatus {
    /// The value on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// Makes a condition; `reason` is one CamelCase word.
pub fn condition(
    kind: &str,
    status: impl Into<ConditionStatus>,
    reason: &str,
    message: impl Into<String>,
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    Condition {
        type_: kind.into(),
        status: status.into().as_str().into(),
        reason: reason.into(),
        message: message.into(),
        observed_generation: generation,
        last_transition_time: Time(now),
    }
}

/// Puts a condition into the list; its transition time changes only when its status does.
pub fn set(conditions: &mut Vec<Condition>, mut new: Condition) {
    let Some(old) = conditions.iter_mut().find(|old| old.type_ == new.type_) else {
        conditions.push(new);
        return;
    };
    if old.status == new.status {
        new.last_transition_time = old.last_transition_time.clone();
    }
    *old = new;
}

/// Whether the condition of this type is `True`.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    conditions
        .iter()
        .any(|condition| condition.type_ == kind && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let mut list = Vec::new();
        set(&mut list, condition(READY, true, "Up", "", None, early));
        set(&mut list, condition(READY, true, "StillUp", "", None, late));
        assert_eq!(
            (list[0].last_transition_time.0, list[0].reason.as_str()),
            (early, "StillUp")
        );
        set(&mut list, condition(READY, false, "Down", "", None, late));
        assert_eq!(list[0].last_transition_time.0, late);
        assert!(!is_true(&list, READY));
    }
}
