//! Ids of tool calls in dialects that may leave them out.

/// How many characters of an answer's id become part of its calls' ids: OpenAI's API takes ids of at most 40.
const ANSWER_ID: usize = 28;

/// Gives ids to calls that have none, and finds the call that a result belongs to.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    prefix: String,
    made: usize,
    /// Calls without a result so far: id and name.
    open: Vec<(String, String)>,
}

impl Calls {
    /// For an answer: made ids contain the answer's, so that those of two turns differ.
    pub(crate) fn of_answer(id: &str) -> Self {
        let mut prefix: String = id
            .chars()
            .filter(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_'))
            .take(ANSWER_ID)
            .collect();
        if !prefix.is_empty() {
            prefix.push('_');
        }
        Self {
            prefix,
            ..Self::default()
        }
    }

    /// The id of a call, made from its position when it has none.
    pub(crate) fn call(&mut self, id: Option<&str>, name: &str) -> String {
        let id = match id.filter(|id| !id.is_empty()) {
            Some(id) => id.to_owned(),
            None => self.make(),
        };
        self.open.push((id.clone(), name.to_owned()));
        id
    }

    /// The id and name of the call that a result answers: by its id, else the first open call of that name, else
    /// (when it has no name) the first open call. A result without a call gets an id of its own.
    pub(crate) fn result(&mut self, id: Option<&str>, name: Option<&str>) -> (String, Option<String>) {
        let id = id.filter(|id| !id.is_empty());
        let name = name.filter(|name| !name.is_empty());
        let found = self
            .open
            .iter()
            .position(|(open_id, open_name)| match (id, name) {
                (Some(id), _) => open_id == id,
                (None, Some(name)) => open_name == name,
                (None, None) => true,
            });
        let call = found.map(|index| self.open.remove(index));
        let (call_id, call_name) = match call {
            Some((id, name)) => (Some(id), Some(name)),
            None => (None, None),
        };
        let id = id.map(str::to_owned).or(call_id).unwrap_or_else(|| self.make());
        (id, name.map(str::to_owned).or(call_name))
    }

    fn make(&mut self) -> String {
        let id = format!("call_{}{}", self.prefix, self.made);
        self.made += 1;
        id
    }
}

/// Whether an id was made from a position alone, so that dialects without ids need not be told.
pub(crate) fn is_made(id: &str) -> bool {
    id.strip_prefix("call_")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::{Calls, is_made};

    #[test]
    fn results_find_their_calls_by_id_by_name_and_by_order() {
        let mut calls = Calls::default();
        assert_eq!(calls.call(None, "weather"), "call_0");
        assert_eq!(calls.call(Some("given"), "weather"), "given");
        assert_eq!(calls.call(Some(""), "time"), "call_1");
        assert_eq!(
            calls.result(None, Some("time")),
            ("call_1".to_owned(), Some("time".to_owned()))
        );
        assert_eq!(
            calls.result(Some("given"), None),
            ("given".to_owned(), Some("weather".to_owned()))
        );
        assert_eq!(
            calls.result(None, None),
            ("call_0".to_owned(), Some("weather".to_owned()))
        );
        assert_eq!(
            calls.result(None, Some("unknown")),
            ("call_2".to_owned(), Some("unknown".to_owned()))
        );
    }

    #[test]
    fn ids_of_answers_hold_the_answers_id_and_stay_short() {
        let mut calls = Calls::of_answer("a/b-c_1234567890123456789012345678901234567890");
        let id = calls.call(None, "f");
        assert_eq!(id, "call_ab-c_12345678901234567890123_0");
        assert!(id.len() <= 40 && !is_made(&id));
        assert_eq!(Calls::of_answer("").call(None, "f"), "call_0");
        assert!(is_made("call_12") && !is_made("call_") && !is_made("toolu_1"));
    }
}
