//! "Did you mean …?"

/// The known word that is most like this one, if any is like it at all.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let close = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let distance = strsim::osa_distance(&word, &candidate);
        // A third of the letters may be wrong; a beginning is always near.
        let near = distance <= (word.chars().count() / 3).max(1);
        let begins = word.len() >= 3 && candidate.starts_with(&word);
        (near || begins).then_some(if begins { distance.min(1) } else { distance })
    };
    let ranked = known
        .into_iter()
        .filter_map(|candidate| Some((close(candidate)?, candidate)));
    ranked
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_find_their_word_and_others_find_none() {
        let known = ["modelproviders", "models", "secrets", "baseUrl"];
        assert_eq!(nearest("modelprovider", known), Some("modelproviders"));
        assert_eq!(nearest("modles", known), Some("models"));
        assert_eq!(nearest("baseURL", known), Some("baseUrl"));
        assert_eq!(nearest("cheese", known), None);
        assert_eq!(nearest("", known), None);
    }
}
