//! A try at the embeddings of the engine in this process.

use std::collections::HashMap;

use ::http::StatusCode;
use bytes::Bytes;
use stead_dialects::embeddings::Answer as Vectors;
use stead_kernel::ports::{ModelFile, TokenUsage};

use super::{Answer, JSON, embeddings};
use crate::{
    api::error::ApiError,
    dispatch::{Call, Failure, Retry},
    ledger::Ledger,
    snapshot::Target,
    tally::{Tally, to_wire},
};

/// Asks the engine.
pub(super) async fn ask(
    call: &Call<'_>,
    target: &Target,
    files: &HashMap<Box<str>, ModelFile>,
    ledger: &mut Ledger,
) -> Result<Answer, Failure> {
    let provider = &target.provider;
    let file = files
        .get(&*target.model)
        .ok_or_else(|| Failure::unusable(provider, &format!("there is no ready Model `{}`", target.model)))?;
    let (request, mut notes) = embeddings::read(call).map_err(|error| Failure::inexpressible(&error))?;
    if request.inputs.iter().any(String::is_empty) {
        return Err(refused("input", "must not have an empty text"));
    }
    // It has no first token to wait for: only the deadline bounds it, which is watched by who asked for the try.
    let embedded = call.gateway.chat.embed(file, request.inputs).await;
    let embedded = embedded.map_err(|error| Failure::of_engine(provider, error))?;
    let mut vectors = embedded.vectors;
    if let Some(wanted) = request.dimensions {
        let own = vectors.first().map_or(0, Vec::len);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        if wanted == 0 || wanted > own {
            let message = format!("must be 1 to {own}: the model's vectors have {own} numbers");
            return Err(refused("dimensions", &message));
        }
        if wanted < own {
            cut(&mut vectors, wanted);
            notes.push(format!(
                "vectors are cut to the first {wanted} of {own} numbers and brought to length one"
            ));
        }
    }
    if embedded.cut > 0 {
        notes.push(format!(
            "{} of the texts were longer than the {} tokens that the model reads, and lost their end",
            embedded.cut, embedded.limit
        ));
    }
    ledger.warn(notes);
    let usage = TokenUsage {
        input: embedded.tokens,
        ..TokenUsage::default()
    };
    let answer = Vectors {
        model: String::new(),
        vectors,
        usage: Some(to_wire(&usage)),
    };
    let mut tally = Tally::new(ledger.keeps_output());
    tally.usage = Some(usage);
    tally.finished = true;
    let body = Bytes::from(embeddings::write(call, &answer, request.encoding));
    tally.whole(&body);
    Ok(Answer::Whole {
        status: StatusCode::OK,
        sort: JSON,
        body,
        tally,
    })
}

/// A request that this model cannot serve; another may.
fn refused(param: &'static str, message: &str) -> Failure {
    Failure {
        error: ApiError::invalid("unsupported_value", format!("`{param}` {message}")).param(param),
        retry: Retry::Elsewhere,
        status: 0,
    }
}

/// Keeps the first numbers of each vector and brings what is left to length one, as those do who train models whose
/// first numbers say most (Kusupati et al. 2022, <https://arxiv.org/abs/2205.13147>).
fn cut(vectors: &mut [Vec<f32>], length: usize) {
    for vector in vectors {
        vector.truncate(length);
        let size = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        if size > 0.0 {
            for number in vector {
                *number /= size;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_vector_has_length_one() {
        let mut vectors = vec![vec![3.0, 4.0, 12.0], vec![0.0, 0.0, 1.0]];
        cut(&mut vectors, 2);
        assert_eq!(vectors, [vec![0.6, 0.8], vec![0.0, 0.0]]);
    }
}
