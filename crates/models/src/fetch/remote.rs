//! An embedding model on the web: the small files beside the weights first, then the weights, from where an earlier try
//! broke off, then all of them in one file.

use std::{
    collections::BTreeMap,
    fs::{self, File},
};

use stead_kernel::{Error, Result, ports::PACKED_FILES, steps::Progress};
use url::Url;

use super::{
    Failure, Fetch, packed,
    partial::{Partial, here},
    redirect,
    web::{self, End},
};
use crate::source::Source;

/// The source of the weights alone, which have a place of their own on the disk.
pub(super) fn weights_of(source: &Source) -> Source {
    Source {
        text: format!("{} (weights)", source.text),
        place: source.place.clone(),
        pin: None,
    }
}

/// Downloads an embedding model. A pin is of the file that all of it becomes.
pub(super) async fn download(
    fetch: &Fetch,
    source: &Source,
    url: &Url,
    partial: Partial,
    progress: &Progress,
) -> Result<Partial, Failure> {
    let beside = beside(fetch, url).await?;
    packed::check(&beside)?;
    let weights = Partial::open(&fetch.folder, &weights_of(source), None).await?;
    let weights = web::download(fetch.outbound.as_ref(), fetch.reach, url, weights, progress).await?;
    let weights = weights.finish().await?;
    let (path, progress) = (fetch.folder.join(&weights.file), progress.clone());
    partial
        .with(move |partial| {
            let file = File::open(&path).map_err(here)?;
            let mut packed = match packed::pack(file, weights.size, beside) {
                Ok(packed) => packed,
                Err(error) => {
                    // It must not be found whole by the next try.
                    fs::remove_file(&path).map_err(here)?;
                    return Err(error.into());
                }
            };
            partial.begin_now(packed.size)?;
            partial.append_all(&mut packed.content, &progress)
        })
        .await
}

/// What lies beside the weights. What the host has not, or does not show, is as good as not there.
async fn beside(fetch: &Fetch, url: &Url) -> Result<BTreeMap<&'static str, String>> {
    let mut texts = BTreeMap::new();
    for name in PACKED_FILES {
        if let Some(text) = text(fetch, url, name).await? {
            texts.insert(name, text);
        }
    }
    Ok(texts)
}

async fn text(fetch: &Fetch, weights: &Url, name: &str) -> Result<Option<String>> {
    let url = weights
        .join(name)
        .map_err(|error| Error::invalid(format!("there is no address of {name}")).because(error))?;
    let headers = web::usual_headers();
    let answer = redirect::get(fetch.outbound.as_ref(), fetch.reach, &url, &headers).await?;
    match answer.response.status().as_u16() {
        200 => {}
        401 | 403 | 404 | 410 => return Ok(None),
        _ => return Err(web::refused(answer.response.status())),
    }
    let mut body = answer.response.into_body();
    let mut bytes = Vec::new();
    loop {
        let (batch, end) = web::gather(&mut body).await;
        bytes.extend(batch);
        match end {
            // One byte too many is refused with the others.
            _ if bytes.len() as u64 > packed::MAX_TEXT => break,
            End::NotYet => {}
            End::Whole => break,
            End::Broken(error) => return Err(error),
        }
    }
    packed::text(name, &mut bytes.as_slice()).map(Some)
}
