//! What the words after a verb mean: `KIND`, `KIND NAME…`, `KIND/NAME…`.

use stead_kernel::Result;

use super::{Discovery, Resource};
use crate::report::usage;

/// A kind, or one object of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) resource: Resource,
    pub(crate) name: Option<String>,
}

/// Understands the words after a verb.
///
/// # Errors
/// `NotFound` for an unknown kind; usage when the two ways to name objects are mixed.
pub(crate) fn choose(discovery: &Discovery, words: &[String]) -> Result<Vec<Chosen>> {
    let Some((first, rest)) = words.split_first() else {
        return Err(usage("name a kind: stead explain shows all of them"));
    };
    if words.iter().any(|word| word.contains('/')) {
        return words.iter().map(|word| choose_one(discovery, word)).collect();
    }
    let resources = discovery.resolve_all(first)?;
    if rest.is_empty() {
        return Ok(resources
            .into_iter()
            .map(|resource| Chosen { resource, name: None })
            .collect());
    }
    let [resource] = resources.as_slice() else {
        return Err(usage("names need one kind: write KIND/NAME for each"));
    };
    let named = |name: &String| Chosen {
        resource: resource.clone(),
        name: Some(name.clone()),
    };
    Ok(rest.iter().map(named).collect())
}

fn choose_one(discovery: &Discovery, word: &str) -> Result<Chosen> {
    match word.split_once('/') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => Ok(Chosen {
            resource: discovery.resolve(kind)?.clone(),
            name: Some(name.to_owned()),
        }),
        _ => Err(usage(format!(
            "{word:?} is not KIND/NAME, and KIND/NAME is not mixed with KIND NAME"
        ))),
    }
}
