//! The gateway alone: state is read from the control process, journals are sent to it, and nothing else is kept here
//! than the journal itself.

use std::sync::Arc;

use http::Request;
use stead_access::TableAuthorizer;
use stead_kernel::{Body, Context, Reason, Result, Role, Roles, ports::ControlProcess};
use tokio_util::sync::CancellationToken;

use super::{
    Ground, Home, LinkOptions, Own, Parts,
    absent::{NoEngine, NoRecords, NoSignals, NoTraces, NoVault},
    link::Link,
    ports,
    remote_events::RemoteEvents,
};
use crate::modules;

const NO_ENGINE: &str = "this process runs the gateway role alone, and the files of embedded models lie with the control \
                         process: name a target over HTTP, or ask the control process";

/// Prepares the link, checks the token, and says what is to be started. A control process that does not answer is
/// waited for, by the watches themselves.
pub(super) async fn open(ground: &Ground, options: &LinkOptions) -> Result<Parts> {
    let link = Arc::new(Link::new(options)?);
    check(&link).await?;
    let own = Own {
        authorizer: Arc::new(TableAuthorizer::default()),
        events: Arc::new(RemoteEvents(Arc::clone(&link))),
        records: Arc::new(NoRecords),
        traces: Arc::new(NoTraces),
        signals: Arc::new(NoSignals),
        feed: Arc::default(),
        chat: Arc::new(NoEngine(NO_ENGINE)),
        vault: Arc::new(NoVault),
    };
    let context = Context {
        client: link.client(),
        tasks: ground.tasks.clone(),
        data: ground.data.clone(),
        roles: Roles::of(&[Role::Gateway]),
        control: Some(ControlProcess {
            replica: host_name(),
            link: Arc::clone(&link) as _,
        }),
        settings: Arc::clone(&ground.settings),
        ports: ports(ground, own),
    };
    let (refusal, clients) = (Arc::clone(&link), link);
    Ok(Parts {
        context,
        modules: vec![modules::gateway()],
        client: Box::new(move |_| clients.client()),
        routes: axum::Router::new(),
        pages: None,
        authenticators: Vec::new(),
        metrics: Vec::new(),
        unready: vec![Arc::new(move || {
            refusal
                .is_refused()
                .then(|| "the control process refuses this gateway's token".to_owned())
        })],
        lost: CancellationToken::new(),
        home: Home::Replica,
    })
}

/// A name for this gateway in its own records; whoever stores them for good puts the name of its token there.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "gateway".to_owned(),
        name => name.to_owned(),
    }
}

/// Asks once: a wrong token or a wrong CA is said now rather than in a log later.
async fn check(link: &Link) -> Result<()> {
    let request = Request::get("/k8s/apis/stead.dev/v1alpha1/modelproviders?limit=1")
        .body(Body::empty())
        .map_err(|error| stead_kernel::Error::internal("a request is malformed").because(error))?;
    let Err(error) = link.call(request).await else {
        return Ok(());
    };
    if link.is_refused() {
        return Err(stead_kernel::Error::unauthenticated(format!(
            "the control process at {} refuses the token",
            link.address()
        ))
        .hint("make one there: stead gateway token create NAME"));
    }
    let passing = matches!(error.reason(), Reason::Unavailable | Reason::Timeout);
    if passing && !error.full_message().contains("certificate") {
        tracing::warn!(
            error = error.full_message(),
            "the control process does not answer; it is tried again until it does"
        );
        return Ok(());
    }
    Err(error)
}
