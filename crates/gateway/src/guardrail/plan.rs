//! What follows from a guardrail's spec: rules of admission, its status. Nothing here performs I/O.

use serde::Deserialize;
use serde_json::Value;
use stead_kernel::{
    Admission, Error, Result, Timestamp,
    conditions::{self, READY},
};

use super::{Guard, GuardrailSpec, GuardrailStatus};

/// The rules on writes that the schema cannot say.
pub(crate) fn admit(admission: &mut Admission<'_>) -> Result<()> {
    let new = spec(admission.new)?;
    let old = admission.old.and_then(|old| spec(old).ok());
    if new.rules.is_empty() || new.stages.is_empty() {
        return Err(Error::invalid("spec: a guardrail needs a rule and a stage"));
    }
    Guard::of("", &new).map_err(|why| Error::invalid(format!("spec.rules: {why}")))?;
    let known = old.map(|old| old.projects).unwrap_or_default();
    for name in new.projects.iter().filter(|name| !known.contains(name)) {
        if !admission.principal.owns(name) {
            return Err(Error::forbidden(format!(
                "spec.projects: you may not watch over the requests of project `{name}`"
            )));
        }
    }
    Ok(())
}

fn spec(object: &Value) -> Result<GuardrailSpec> {
    GuardrailSpec::deserialize(object.get("spec").unwrap_or(&Value::Null))
        .map_err(|error| Error::invalid("spec: it does not have the form of a Guardrail").because(error))
}

/// The status that follows. `missing` are routes of judges that its own project does not have.
pub(crate) fn status(
    old: Option<&GuardrailStatus>,
    spec: &GuardrailSpec,
    missing: &[String],
    generation: Option<i64>,
    now: Timestamp,
) -> GuardrailStatus {
    let mut status = old.cloned().unwrap_or_default();
    status.observed_generation = generation;
    status.rule_count = u64::try_from(spec.rules.len()).unwrap_or(u64::MAX);
    let (ready, reason, message) = if spec.disabled {
        (false, "Disabled", "it is switched off".to_owned())
    } else if let Err(why) = Guard::of("", spec) {
        // Written before a rule of admission became stricter.
        (false, "RuleUnusable", format!("no request passes: {why}"))
    } else if missing.is_empty() {
        (true, "InForce", "its rules are in force".to_owned())
    } else {
        let names = missing.join(", ");
        (
            false,
            "RouteMissing",
            format!("there is no route that judges: {names}"),
        )
    };
    conditions::set(
        &mut status.conditions,
        conditions::condition(READY, ready, reason, &message, generation, now),
    );
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_kernel::{AccessRequest, Authorizer, Credential, Principal, Reason};

    use super::*;

    struct Anyone;

    impl Authorizer for Anyone {
        fn authorize(&self, _: &Principal, _: &AccessRequest<'_>) -> Result<()> {
            Ok(())
        }
    }

    fn write(spec: &Value, principal: &Principal) -> Option<Reason> {
        let mut new = json!({"metadata": {"name": "g", "namespace": "default"}, "spec": spec});
        let mut admission = Admission {
            principal,
            authorizer: &Anyone,
            old: None,
            new: &mut new,
        };
        admit(&mut admission).err().map(|error| error.reason())
    }

    #[test]
    fn rules_that_cannot_work_are_refused() {
        let invalid = Some(Reason::Invalid);
        let cases = [
            (json!({"detectors": ["pii"]}), None),
            (json!({"detectors": ["e-mail"]}), invalid),
            (
                json!({"words": ["x"], "patterns": [r"\d+"], "atLeast": 2, "action": "Block"}),
                None,
            ),
            (json!({"words": ["x"], "atLeast": 2}), invalid),
            (json!({"words": [" "]}), invalid),
            (json!({"patterns": ["("]}), invalid),
            (json!({"patterns": [".*"]}), invalid),
            (json!({}), invalid),
            (json!({"injection": {}}), invalid),
            (json!({"injection": {}, "action": "Block"}), None),
            (json!({"injection": {"threshold": 2}, "action": "Block"}), invalid),
            (
                json!({"injection": {}, "words": ["x"], "action": "Block"}),
                invalid,
            ),
            (json!({"schema": {"type": "object"}, "action": "Warn"}), None),
            (json!({"schema": {"type": "strange"}, "action": "Warn"}), invalid),
            (
                json!({"moderation": {"route": "r", "judge": "No insults."}, "action": "Block"}),
                None,
            ),
            (
                json!({"moderation": {"route": "r", "judge": "x", "timeout": "0s"}, "action": "Block"}),
                invalid,
            ),
        ];
        for (rule, expected) in cases {
            let mut rule = rule;
            rule["name"] = "r".into();
            if rule.get("action").is_none() {
                rule["action"] = "Redact".into();
            }
            let spec = json!({"rules": [rule]});
            assert_eq!(write(&spec, &Principal::admin()), expected, "{spec}");
        }
        let twice = json!({"rules": [
            {"name": "r", "action": "Log", "words": ["a"]}, {"name": "r", "action": "Log", "words": ["b"]}]});
        assert_eq!(write(&twice, &Principal::admin()), invalid);
    }

    #[test]
    fn only_who_owns_a_project_watches_over_it() {
        let ada = Principal {
            user: "ada".into(),
            groups: Vec::new(),
            projects: vec!["default".into(), "art".into()],
            credential: Credential::Session,
        };
        for (project, expected) in [
            ("art", None),
            ("finance", Some(Reason::Forbidden)),
            ("*", Some(Reason::Forbidden)),
        ] {
            let spec =
                json!({"projects": [project], "rules": [{"name": "r", "action": "Log", "words": ["a"]}]});
            assert_eq!(write(&spec, &ada), expected, "{project}");
            assert_eq!(write(&spec, &Principal::admin()), None);
        }
    }

    #[test]
    fn a_status_says_whether_the_rules_are_in_force() {
        let spec = |more: Value| {
            let mut spec = json!({"rules": [{"name": "r", "action": "Log", "words": ["a"]}]});
            if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
                spec.extend(more);
            }
            serde_json::from_value::<GuardrailSpec>(spec).unwrap()
        };
        let cases = [
            (spec(json!({})), vec![], "InForce"),
            (spec(json!({"disabled": true})), vec![], "Disabled"),
            (spec(json!({})), vec!["judge".to_owned()], "RouteMissing"),
            (
                spec(json!({"rules": [{"name": "r", "action": "Log"}]})),
                vec![],
                "RuleUnusable",
            ),
        ];
        for (spec, missing, reason) in cases {
            let status = status(None, &spec, &missing, Some(1), Timestamp::UNIX_EPOCH);
            assert_eq!(status.conditions[0].reason, reason);
            assert_eq!(status.rule_count, 1);
        }
    }
}
