//! What stands between a request and its answer besides routing: prompts, guardrails, the cache.
//!
//! *Invariant:* a request that none of them is for pays for a few looks into memory, and is forwarded unread.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use stead_dialects::chat::{View, Wire};

use super::{content::Content, error::ApiError, job::Job, surface::Form};
use crate::{
    cache::{self, Asked, Found, Keep, replay},
    dispatch::Answered,
    errand::Errand,
    guardrail::{self, Active, GuardedSource, Guarding, Looked, Tongue, Watch},
    ledger::Ledger,
    operation::Operation,
    scan::Scanned,
    snapshot::Route,
    tally::{Output, Tally},
    upstream::Answer,
};

/// Bodies beyond this many bytes are looked at where it keeps no other request waiting.
const LARGE: usize = 16 << 10;

/// What is done with the answer to one request.
pub(super) struct Controls {
    watch: Option<Watch>,
    /// Where the answer will be kept.
    keep: Option<Box<Keep>>,
    /// An answer that was kept, and its age in seconds.
    kept: Option<(Arc<cache::Kept>, u64)>,
    errand: Errand,
    operation: Operation,
    wire: Wire,
    form: Form,
    /// The id of the request.
    id: String,
    /// When it came, in seconds of Unix.
    began: i64,
    /// What writers of streams know of the request.
    view: Option<View>,
}

fn unsupported(why: &str) -> ApiError {
    stead_kernel::Error::unsupported(why).into()
}

/// Does work that takes a while for a large body.
async fn heavy<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    if size <= LARGE {
        return Ok(work());
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| stead_kernel::Error::internal("a guardrail failed; the log says more").into())
}

impl Job {
    /// The body with what the prompt says that it names.
    pub(super) fn prompted(&self, body: Bytes) -> Result<Bytes, ApiError> {
        let (prompts, project) = (&self.gateway.prompts, self.caller.project());
        if self.surface.operation != Operation::Chat || prompts.has_none(project) {
            return Ok(body);
        }
        let rendered = prompts.apply(project, self.surface.wire, &body)?;
        Ok(rendered.map_or(body, |rendered| rendered.to_string().into()))
    }

    /// What watches over a request and whether its answer is there already; what has to be hidden in it is hidden.
    pub(super) async fn controls(
        &mut self,
        request: &mut Scanned,
        route: &Arc<Route>,
    ) -> Result<Option<Box<Controls>>, ApiError> {
        let active = self.active(request, route)?;
        if self.surface.operation == Operation::Realtime {
            return active.map_or(Ok(None), |_| Err(unguarded()));
        }
        if active.is_none() && (route.cache.is_none() || request.is_form()) {
            return Ok(None);
        }
        // Boxed, so that a request for which there is nothing to do does not carry room for this.
        Box::pin(self.controlled(active, request, route)).await
    }

    async fn controlled(
        &mut self,
        active: Option<Arc<Active>>,
        request: &mut Scanned,
        route: &Arc<Route>,
    ) -> Result<Option<Box<Controls>>, ApiError> {
        let cache = route.cache.as_ref().filter(|_| !request.is_form());
        let mut content = Content::of(request)?;
        let mut controls = Controls {
            watch: active.map(Watch::new),
            keep: None,
            kept: None,
            errand: self.errand(),
            operation: self.surface.operation,
            wire: request.wire,
            form: self.surface.form,
            id: self.ledger.uuid().to_string(),
            began: self.gateway.clock.now().as_second(),
            view: None,
        };
        controls.check_stream(request, &content)?;
        self.look(&mut controls, request, &mut content).await?;
        let array = request.fields.stream && controls.form == Form::Array;
        if let (Some(spec), Content::Json(body), false) = (cache, &content, array) {
            self.look_up(&mut controls, spec, (request, body), route).await;
        }
        controls.view = self.view(request, &controls)?;
        Ok(Some(Box::new(controls)))
    }

    fn active(&self, request: &Scanned, route: &Route) -> Result<Option<Arc<Active>>, ApiError> {
        let project = self.snapshot.project(self.caller.project());
        let Some(guards) = &project.guards else {
            return Ok(None);
        };
        let key = self.caller.key().map(|key| &*key.name);
        guards.active(&request.fields.model, &route.name, key)
    }

    fn errand(&self) -> Errand {
        Errand {
            gateway: Arc::clone(&self.gateway),
            snapshot: Arc::clone(&self.snapshot),
            project: self.caller.project().into(),
            user: self.caller.user().into(),
            key: self.ledger.row().key.as_str().into(),
            team: self.ledger.row().team.as_str().into(),
            trace: self.trace.clone(),
            headers: HeaderMap::new(),
        }
    }

    /// Lets the guardrails look at a request.
    async fn look(
        &mut self,
        controls: &mut Controls,
        request: &mut Scanned,
        content: &mut Content,
    ) -> Result<(), ApiError> {
        let Some(mut watch) = controls.watch.take() else {
            return Ok(());
        };
        let mut body = content.take();
        let work = move || {
            let looked = watch.input(&mut body);
            (watch, body, looked)
        };
        let (mut watch, body, looked) = heavy(request.body.len(), work).await?;
        let judges = watch.active.input_judges();
        let judged = match looked {
            Ok(changed) if judges.is_empty() => Ok(changed),
            Ok(changed) => {
                // Before anything is hidden the judge would see what the provider must not; so it sees what is sent.
                let text = guardrail::conversation(&body);
                let seen = (&*watch.active, &mut watch.seen);
                let judged = guardrail::ask_judges(&controls.errand, &judges, "request", &text, seen).await;
                judged.map(|()| changed)
            }
            Err(blocked) => Err(blocked),
        };
        self.ledger.describe(|row| {
            let label = watch.seen.label(&watch.active);
            row.labels
                .extend(label.map(|label| (guardrail::LABEL.to_owned(), label)));
        });
        let changed = judged.map_err(|blocked| watch.active.blocked(&blocked))?;
        content.put(body);
        if changed {
            *request = content.rescanned(request)?;
        }
        controls.watch = Some(watch);
        Ok(())
    }

    async fn look_up(
        &mut self,
        controls: &mut Controls,
        spec: &Arc<cache::CacheSpec>,
        (request, body): (&Scanned, &Value),
        route: &Route,
    ) {
        let asked = Asked {
            store: &self.gateway.cache,
            clock: &self.gateway.clock,
            spec,
            errand: &controls.errand,
            route: &route.name,
            operation: controls.operation,
            wire: controls.wire,
            body,
            streams: request.fields.stream,
            control: self.cache,
        };
        let said = match cache::look_up(&asked).await {
            Found::Nothing => return,
            Found::Hit { kept, age, how } => {
                controls.kept = Some((kept, age));
                how
            }
            Found::Miss(keep) => {
                controls.keep = keep;
                "miss"
            }
        };
        self.ledger.describe(|row| {
            row.labels.insert(cache::LABEL.to_owned(), said.to_owned());
        });
    }

    /// What the writer of a stream or of a kept answer needs; only chats have one.
    fn view(&self, request: &Scanned, controls: &Controls) -> Result<Option<View>, ApiError> {
        let guarded = request.fields.stream && controls.touches_answers();
        if self.surface.operation != Operation::Chat || !(guarded || controls.kept.is_some()) {
            return Ok(None);
        }
        let parsed = request.request().map_err(ApiError::from)?;
        Ok(Some(View {
            id: self.ledger.uuid().to_string(),
            model: request.fields.model.clone(),
            created: self.gateway.clock.now().as_second(),
            request: Arc::clone(parsed),
        }))
    }
}

fn unguarded() -> ApiError {
    stead_kernel::Error::unsupported("guardrails cannot look at realtime conversations")
        .hint("use a model that no guardrail is for, or a chat")
        .into()
}

impl Controls {
    fn touches_answers(&self) -> bool {
        self.watch
            .as_ref()
            .is_some_and(|watch| watch.active.touches_answers())
    }

    /// Whether guardrails look at the stream that is asked for.
    pub(super) fn guards_stream(&self, request: &Scanned) -> bool {
        request.fields.stream && self.touches_answers()
    }

    /// Refuses streams that guardrails could not look at.
    fn check_stream(&self, request: &Scanned, content: &Content) -> Result<(), ApiError> {
        if !self.guards_stream(request) {
            return Ok(());
        }
        match self.operation {
            Operation::Chat => guardrail::can_guard(self.wire),
            Operation::Completions if content.asks_for("logprobs") => Err(unsupported(
                "guardrails cannot look at the log probabilities in streams of /v1/completions; ask for none, or for a whole answer",
            )),
            Operation::Transcriptions | Operation::Translations => Err(unsupported(
                "guardrails cannot look at streamed transcripts; ask for a whole one",
            )),
            // Sound and the like.
            _ => Ok(()),
        }
    }

    /// The answer that was kept, in the form that is asked for.
    pub(super) fn kept(&self, request: &Scanned, keep: bool) -> Option<Answer> {
        let (kept, _) = self.kept.as_ref()?;
        replay(kept, self.wire, self.view.clone(), request.fields.stream, keep)
    }

    /// How old the answer is, in seconds, if it was kept.
    pub(super) fn age(&self) -> Option<u64> {
        self.kept.as_ref().map(|(_, age)| *age)
    }

    /// Keeps an answer, and lets the guardrails look at it. Returns too what was produced, if the client does not get
    /// it.
    pub(super) async fn finish(
        self,
        answered: Answered,
        ledger: &mut Ledger,
    ) -> (Result<Answered, ApiError>, Tally) {
        let Answered {
            answer,
            target,
            route,
            deadline,
        } = answered;
        let guarded = match answer {
            Answer::Whole {
                status,
                sort,
                body,
                tally,
            } => {
                let looked = self.whole(status, body, tally, ledger).await;
                looked.map(|(body, tally)| Answer::Whole {
                    status,
                    sort,
                    body,
                    tally,
                })
            }
            Answer::Stream {
                sort,
                head,
                source,
                tally,
            } => self.stream((sort, head, source), tally, ledger),
            joined @ Answer::Joined(_) => Ok(joined),
        };
        match guarded {
            Ok(answer) => {
                let answered = Answered {
                    answer,
                    target,
                    route,
                    deadline,
                };
                (Ok(answered), Tally::default())
            }
            Err(failed) => (Err(failed.0), failed.1),
        }
    }

    async fn whole(
        mut self,
        status: http::StatusCode,
        body: Bytes,
        mut tally: Tally,
        ledger: &mut Ledger,
    ) -> Result<(Bytes, Tally), Box<(ApiError, Tally)>> {
        if let Some(keep) = self.keep.take() {
            keep.whole(status, &body);
        }
        let Some(mut watch) = self.watch.take() else {
            return Ok((body, tally));
        };
        let (wire, active) = (self.wire, Arc::clone(&watch.active));
        let size = body.len();
        let work = move || {
            let looked = watch.output(&body, wire);
            (watch, looked)
        };
        // Of what is blocked nothing is kept in the record.
        let output = tally.output.take();
        let (mut watch, looked) = match heavy(size, work).await {
            Ok(looked) => looked,
            Err(error) => return Err(Box::new((error, tally))),
        };
        let looked = match looked {
            Ok(looked) => self.judged(looked, &mut watch).await,
            Err(blocked) => Err(blocked),
        };
        tell(&watch, ledger);
        match looked {
            Ok(looked) => {
                tally.output = output.map(|_| Output::default());
                tally.whole(&looked.masked);
                Ok((looked.body, tally))
            }
            Err(blocked) => {
                // What the provider counted is the truth; the estimate is for those that do not count.
                if tally.usage.is_some() {
                    tally.pieces = 0;
                }
                Err(Box::new((active.blocked(&blocked), tally)))
            }
        }
    }

    /// Lets models judge a whole answer.
    async fn judged(&self, looked: Looked, watch: &mut Watch) -> Result<Looked, guardrail::Blocked> {
        let judges = watch.active.output_judges();
        let seen = (&*watch.active, &mut watch.seen);
        guardrail::ask_judges(&self.errand, &judges, "answer", &looked.said, seen).await?;
        Ok(looked)
    }

    fn stream(
        self,
        (sort, head, source): (Option<http::HeaderValue>, Bytes, Box<dyn crate::stream::Source>),
        mut tally: Tally,
        ledger: &mut Ledger,
    ) -> Result<Answer, Box<(ApiError, Tally)>> {
        let is_chat = self.operation == Operation::Chat;
        let source = match self.keep {
            Some(keep) if is_chat => keep.stream(source, &head),
            Some(_) | None => source,
        };
        let touches = |watch: &Watch| watch.active.touches_answers();
        let tongue = match self.operation {
            Operation::Chat => {
                let client = match self.form {
                    Form::Array => Some(stead_dialects::gemini::client_of_arrays()),
                    Form::Usual | Form::Batch | Form::Single => stead_dialects::client(self.wire),
                };
                let parts = self.view.zip(client);
                parts.map(|(view, client)| Tongue::chat(self.wire, client, view))
            }
            Operation::Completions => Some(Ok(Tongue::completions(&self.id, self.began))),
            _ => None,
        };
        let (head, source) = match (self.watch.filter(touches), tongue) {
            (Some(watch), Some(tongue)) => {
                tell(&watch, ledger);
                let tongue = match tongue {
                    Ok(tongue) => tongue,
                    Err(error) => return Err(Box::new((error, tally))),
                };
                let guarding = Guarding {
                    watch,
                    tongue,
                    errand: self.errand,
                };
                match GuardedSource::new(source, &head, &mut tally, guarding) {
                    Ok((source, head)) => (head, Box::new(source) as Box<dyn crate::stream::Source>),
                    Err(error) => {
                        tally.output = None;
                        return Err(Box::new((error, tally)));
                    }
                }
            }
            _ => (head, source),
        };
        Ok(Answer::Stream {
            sort,
            head,
            source,
            tally,
        })
    }
}

/// Tells in the record and to the client what was found.
fn tell(watch: &Watch, ledger: &mut Ledger) {
    if let Some(label) = watch.seen.label(&watch.active) {
        ledger.describe(|row| {
            row.labels.insert(guardrail::LABEL.to_owned(), label);
        });
    }
    let found = watch.seen.warnings(&watch.active);
    if !found.is_empty() {
        let mut warnings = ledger.warnings().to_vec();
        warnings.extend(found);
        ledger.warn(warnings);
    }
}
