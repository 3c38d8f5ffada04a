//! A try at opening a WebSocket with a provider
//! (<https://platform.openai.com/docs/guides/realtime-websocket>; Azure:
//! <https://learn.microsoft.com/azure/ai-foundry/openai/how-to/realtime-audio-websockets>).

use ::http::Request;
use hyper_util::rt::TokioIo;
use stead_kernel::{Body, ports::SendOptions};

use super::{Answer, http};
use crate::{
    dispatch::{Call, Failure},
    realtime::{Joined, Opening, Upgrade},
    signin::Signer,
    snapshot::{HttpApi, Target},
};

/// Opens it. Nothing is said on it yet.
pub(super) async fn ask(call: &Call<'_>, target: &Target, api: &HttpApi) -> Result<Answer, Failure> {
    let provider = &target.provider;
    let uri = api
        .realtime(&target.model)
        .ok_or_else(|| Failure::unusable(provider, "its address is none for this model"))?;
    let opening = Opening::new();
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri;
    *request.headers_mut() = http::headers(call, api);
    opening.ask(request.headers_mut());
    for (name, value) in call.passed {
        request.headers_mut().append(name, value.clone());
    }
    let options = SendOptions {
        reach: provider.reach,
        connect_timeout: call.limits.connect,
    };
    let signer = Signer {
        outbound: &*call.gateway.outbound,
        clock: &*call.gateway.clock,
        options,
    };
    let signed = api.sign_in.sign(&mut request, b"", &signer).await;
    signed.map_err(|why| Failure::unusable(provider, &why))?;
    let limit = call.limits.first_token;
    let slow = |_| Failure::timeout(provider, "did not answer", limit);
    let sent = call.gateway.outbound.send(request, options);
    let answer = tokio::time::timeout(limit, sent).await.map_err(slow)?;
    let mut answer = answer.map_err(|error| Failure::unsent(provider, &error))?;
    match opening.read(answer.status(), answer.headers()) {
        Upgrade::Given => {}
        Upgrade::Refused if answer.status().is_success() => {
            return Err(Failure::unsupported(provider, call.operation.describe()));
        }
        Upgrade::Refused => return Err(http::refusal(call, provider, answer).await),
        Upgrade::Broken => {
            return Err(Failure::garbage(
                provider,
                "a WebSocket was asked for, and this is none",
            ));
        }
    }
    let protocol = answer
        .headers()
        .get(::http::header::SEC_WEBSOCKET_PROTOCOL)
        .cloned();
    let upgraded = tokio::time::timeout(limit, hyper::upgrade::on(&mut answer));
    let io = upgraded.await.map_err(slow)?;
    let io = io.map_err(|_| Failure::broken(provider))?;
    Ok(Answer::Joined(Box::new(Joined {
        io: TokioIo::new(io),
        protocol,
    })))
}
