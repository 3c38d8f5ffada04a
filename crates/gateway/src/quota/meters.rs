//! What is counted for each quota in this process, and how a request gets past it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kube::ResourceExt;
use stead_kernel::{Clock, ports::Prices};
use stead_metering::{Bound, Limit, Measure, Refusal, Reservation, Terms, Used, Why, reserve};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    OnLeaderLost, Quota, QuotaTable, SubjectKind,
    bound::{self, Candidate, Size},
    leases::{Borrower, Grown},
    plan::{self, Standing},
    table,
};
use crate::{api::error::ApiError, snapshot::Target};

/// How long a request waits until it is known what was used before this process counted.
const SEED_WAIT: Duration = Duration::from_secs(10);

/// How often a request asks for more of what is lent: others may take it first, and clocks may disagree for a moment on
/// which window it is.
const BORROWS: u32 = 64;

/// A project and an object's name in it.
type Id = (String, String);

/// The counters of this process.
#[derive(Clone)]
pub(crate) struct Meters {
    shared: Arc<Shared>,
    quotas: Arc<Mutex<BTreeMap<Id, Arc<QuotaMeter>>>>,
}

/// What all counters of this process share.
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    prices: Arc<dyn Prices>,
    /// From whom this process borrows; `None` where it has the whole of every limit.
    pub(super) borrower: Option<Arc<Borrower>>,
    ranks: AtomicU64,
    /// Limits of which it is not known what was used before.
    unseeded: Mutex<Vec<Unseeded>>,
    pub(super) asked: Notify,
    /// Told when some limits were seeded.
    pub(super) seeded: watch::Sender<u64>,
}

/// A limit of which it is not known what was used before.
#[derive(Clone)]
pub(super) struct Unseeded {
    pub(super) project: Box<str>,
    pub(super) kind: SubjectKind,
    pub(super) metered: Metered,
}

/// A limit of some subject.
#[derive(Debug, Clone)]
pub(crate) struct Metered {
    pub(crate) limit: Arc<Limit>,
    /// `project/quota/subject/measure/window`, the same in every process.
    pub(crate) key: Arc<str>,
    pub(crate) subject: Arc<str>,
    pub(crate) quota: Arc<str>,
    pub(crate) on_leader_lost: OnLeaderLost,
}

/// What a quota says.
#[derive(Debug, Clone, PartialEq)]
struct Rules {
    terms: Vec<Terms>,
    on_leader_lost: OnLeaderLost,
    default_max_tokens: u64,
}

/// A quota and its counters.
pub(crate) struct QuotaMeter {
    pub(super) project: Box<str>,
    object: Arc<str>,
    pub(super) kind: SubjectKind,
    /// The subject's name, or `*`.
    pub(super) name: Box<str>,
    rules: Rules,
    /// Limits by subject. Shared by all versions of the quota that have the same subject.
    subjects: Arc<RwLock<Subjects>>,
    shared: Arc<Shared>,
}

type Subjects = HashMap<Box<str>, Arc<Vec<Metered>>>;

/// A request's place in the quotas that hold for it.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    /// The limits that hold for it, whether they let it pass or not.
    pub(crate) limits: Vec<Metered>,
    reservation: Option<Reservation>,
    /// The most that it can use, where a hard limit on tokens or money needs to know.
    pub(crate) bound: Option<Bound>,
    /// The most output tokens, where the client does not limit them and a limit needs it.
    pub(crate) max_tokens: Option<u64>,
}

impl Admitted {
    /// Puts what was really used in the place of what was reserved.
    pub(crate) fn settle(&mut self, used: &Used) {
        if let Some(reservation) = self.reservation.take() {
            reservation.settle(used);
        }
    }

    /// The limits that are not hard and that it went beyond.
    pub(crate) fn beyond(&self) -> impl Iterator<Item = &Metered> {
        let beyond = self.reservation.iter().flat_map(Reservation::beyond);
        beyond.filter_map(|limit| self.metered(limit))
    }

    fn metered(&self, limit: &Arc<Limit>) -> Option<&Metered> {
        self.limits
            .iter()
            .find(|metered| Arc::ptr_eq(&metered.limit, limit))
    }

    /// Whether money or tokens are limited hard, so that a request must not use more than it reserved: it is not asked
    /// twice at a time.
    pub(crate) fn is_bounded(&self) -> bool {
        self.limits
            .iter()
            .any(|metered| metered.limit.is_hard() && needs_bound(metered.limit.measure()))
    }
}

/// Whether a request's size matters to a limit.
fn needs_bound(measure: Measure) -> bool {
    match measure {
        Measure::Requests | Measure::Concurrency => false,
        Measure::InputTokens | Measure::OutputTokens | Measure::Tokens | Measure::Spend => true,
    }
}

impl Meters {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        prices: Arc<dyn Prices>,
        borrower: Option<Arc<Borrower>>,
    ) -> Self {
        let shared = Shared {
            clock,
            prices,
            borrower,
            ranks: AtomicU64::new(1),
            unseeded: Mutex::default(),
            asked: Notify::new(),
            seeded: watch::channel(0).0,
        };
        Self {
            shared: Arc::new(shared),
            quotas: Arc::default(),
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn quotas(&self) -> MutexGuard<'_, BTreeMap<Id, Arc<QuotaMeter>>> {
        self.quotas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds or changes a quota; what is counted stays where the subject and the measure stay. Says whether anything
    /// changed.
    pub(crate) fn put(&self, object: &Quota) -> bool {
        let id = (object.namespace().unwrap_or_default(), object.name_any());
        let mut quotas = self.quotas();
        let old = quotas.get(&id).map(|old| &**old);
        let meter = QuotaMeter::of(object, old, &self.shared);
        if old.is_some_and(|old| old.says_the_same(&meter)) {
            return false;
        }
        quotas.insert(id, Arc::new(meter));
        true
    }

    /// Takes a quota out.
    pub(crate) fn remove(&self, id: &Id) {
        self.quotas().remove(id);
    }

    /// Takes out all quotas but these.
    pub(crate) fn retain(&self, keep: impl Fn(&Id) -> bool) {
        self.quotas().retain(|id, _| keep(id));
    }

    /// The quotas by whom they limit.
    pub(crate) fn table(&self) -> QuotaTable {
        QuotaTable::of(self.quotas().values().cloned())
    }

    /// Where a quota's limits stand; `None` while it is not known here.
    pub(super) fn standings(&self, id: &Id, elsewhere: impl Fn(&Metered) -> u64) -> Option<Vec<Standing>> {
        let quota = self.quotas().get(id).cloned()?;
        // One that names its subject counts before the first request.
        if &*quota.name != plan::EACH {
            quota.limits(&quota.name);
        }
        let now = self.shared.clock.now();
        let subjects = quota.subjects.read().unwrap_or_else(PoisonError::into_inner);
        let limits = subjects.values().flat_map(|limits| limits.iter());
        let standings = limits.map(|metered| Standing {
            subject: format!("{} {}", quota.kind.as_str(), metered.subject),
            measure: metered.limit.measure(),
            window: metered.limit.window(),
            reading: metered.limit.read(now),
            elsewhere: elsewhere(metered),
        });
        Some(standings.collect())
    }

    /// The limit with a key, made if its quota is known.
    pub(super) fn find(&self, key: &str) -> Option<Metered> {
        // Only a subject's name may hold a slash.
        let (project, rest) = key.split_once('/')?;
        let (object, rest) = rest.split_once('/')?;
        let (rest, _window) = rest.rsplit_once('/')?;
        let (subject, _measure) = rest.rsplit_once('/')?;
        let id = (project.to_owned(), object.to_owned());
        let quota = self.quotas().get(&id).cloned()?;
        if *quota.name != *subject && &*quota.name != plan::EACH {
            return None;
        }
        let limits = quota.limits(subject);
        limits.iter().find(|metered| &*metered.key == key).cloned()
    }

    /// Gets a request past all quotas that hold for it, or says why not. `admitted` is told the limits in either case.
    ///
    /// # Errors
    /// What the client is answered.
    pub(crate) async fn admit(
        &self,
        quotas: &[(&Arc<QuotaMeter>, &str)],
        mut size: Size<'_>,
        targets: &[Target],
        began: stead_kernel::Timestamp,
        admitted: &mut Admitted,
    ) -> Result<(), ApiError> {
        for (quota, name) in quotas {
            admitted.limits.extend(quota.limits(name).iter().cloned());
        }
        if size.max_tokens.is_none() {
            admitted.max_tokens = self.default_max_tokens(quotas, targets);
            size.max_tokens = admitted.max_tokens;
        }
        let bound = self.bound(&size, targets, &admitted.limits);
        admitted.bound = Some(bound).filter(|_| admitted.is_bounded());
        let mut limits = table::limits(quotas);
        let deadline = Instant::now() + SEED_WAIT;
        let mut borrowed = 0;
        loop {
            let mut seeded = self.shared.seeded.subscribe();
            let refusal = match reserve(&mut limits, &bound, began, self.shared.clock.now()) {
                Ok(reservation) => {
                    admitted.reservation = Some(reservation);
                    return Ok(());
                }
                Err(refusal) => refusal,
            };
            let Some(metered) = admitted.metered(&refusal.limit) else {
                return Err(ApiError::unavailable(
                    "quota_unknown",
                    "a quota changed meanwhile; try again",
                ));
            };
            match refusal.why {
                Why::Unseeded => {
                    if tokio::time::timeout_at(deadline, seeded.changed()).await.is_err() {
                        return Err(metered.starting());
                    }
                }
                Why::Short { .. } | Why::Expired if borrowed < BORROWS => {
                    borrowed += 1;
                    self.borrow(metered, &bound, &refusal).await?;
                }
                Why::Short { .. }
                | Why::Expired
                | Why::Exceeded { .. }
                | Why::NeverFits { .. }
                | Why::Unbounded => {
                    return Err(metered.refused(&refusal));
                }
            }
        }
    }

    /// Asks for more of a limit.
    async fn borrow(&self, metered: &Metered, bound: &Bound, refusal: &Refusal) -> Result<(), ApiError> {
        let amount = metered.limit.measure().bound(bound).unwrap_or_default();
        let Some(borrower) = &self.shared.borrower else {
            return Err(metered.refused(refusal));
        };
        match borrower.grow(metered, amount).await {
            Grown::Enough => Ok(()),
            Grown::Short => Err(metered.refused(refusal)),
            Grown::Lost if metered.on_leader_lost == OnLeaderLost::Allow => {
                metered.limit.open();
                Ok(())
            }
            Grown::Lost => Err(metered.leader_lost()),
        }
    }

    /// The output that is allowed to a request which does not say, where a hard limit needs to know.
    fn default_max_tokens(&self, quotas: &[(&Arc<QuotaMeter>, &str)], targets: &[Target]) -> Option<u64> {
        let needed = quotas.iter().filter(|(quota, _)| quota.needs_output());
        let default = needed.map(|(quota, _)| quota.rules.default_max_tokens).min()?;
        let longest = targets.iter().filter_map(|target| self.limits_of(target).output);
        Some(longest.fold(default, u64::min).max(1))
    }

    fn limits_of(&self, target: &Target) -> stead_kernel::ports::ModelLimits {
        let provider = &target.provider;
        provider
            .prices
            .limits(&provider.vendor, &target.model, &*self.shared.prices)
    }

    fn bound(&self, size: &Size<'_>, targets: &[Target], limits: &[Metered]) -> Bound {
        if !limits.iter().any(|metered| needs_bound(metered.limit.measure())) {
            return Bound::default();
        }
        let contents = bound::contents(size.body);
        let priced: Vec<_> = targets
            .iter()
            .map(|target| {
                let provider = &target.provider;
                provider
                    .prices
                    .price(&provider.vendor, &target.model, &*self.shared.prices)
            })
            .collect();
        let candidates = targets.iter().zip(&priced).map(|(target, price)| Candidate {
            kind: target.provider.kind,
            model: &target.model,
            price: price.as_deref(),
            limits: self.limits_of(target),
        });
        bound::bound(size, &contents, candidates)
    }
}

impl Shared {
    /// The limits that are to be seeded.
    pub(super) fn take_unseeded(&self) -> Vec<Unseeded> {
        std::mem::take(&mut *self.unseeded.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts back limits that could not be seeded.
    pub(super) fn ask(&self, more: Vec<Unseeded>) {
        self.unseeded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(more);
        self.asked.notify_one();
    }
}

impl QuotaMeter {
    fn of(object: &Quota, old: Option<&Self>, shared: &Arc<Shared>) -> Self {
        let spec = &object.spec;
        let project: Box<str> = object.namespace().unwrap_or_default().into();
        let name: Box<str> = match spec.subject.kind {
            SubjectKind::Project => project.clone(),
            SubjectKind::Key | SubjectKind::User | SubjectKind::Team | SubjectKind::Route => {
                spec.subject.name.as_deref().unwrap_or_default().into()
            }
        };
        let kept = old.filter(|old| old.kind == spec.subject.kind && old.name == name);
        let meter = Self {
            project,
            object: object.name_any().into(),
            kind: spec.subject.kind,
            name,
            rules: Rules {
                terms: plan::terms(spec),
                on_leader_lost: spec.on_leader_lost,
                default_max_tokens: spec.default_max_tokens,
            },
            subjects: kept.map(|old| Arc::clone(&old.subjects)).unwrap_or_default(),
            shared: Arc::clone(shared),
        };
        if kept.is_some_and(|old| old.rules != meter.rules) {
            meter.renew();
        }
        meter
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.name == other.name && self.rules == other.rules
    }

    /// Whether a hard limit needs to know how long an output can be.
    fn needs_output(&self) -> bool {
        let needs = |measure| matches!(measure, Measure::OutputTokens | Measure::Tokens | Measure::Spend);
        self.rules
            .terms
            .iter()
            .any(|terms| terms.hard && needs(terms.measure))
    }

    /// The limits of a subject.
    pub(super) fn limits(&self, name: &str) -> Arc<Vec<Metered>> {
        let known = self
            .subjects
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned();
        if let Some(limits) = known {
            return limits;
        }
        let mut subjects = self.subjects.write().unwrap_or_else(PoisonError::into_inner);
        let limits = subjects
            .entry(name.into())
            .or_insert_with(|| Arc::new(self.make(name, &[])));
        Arc::clone(limits)
    }

    /// Brings the limits of all subjects to the quota's new rules.
    fn renew(&self) {
        let mut subjects = self.subjects.write().unwrap_or_else(PoisonError::into_inner);
        for (name, limits) in subjects.iter_mut() {
            *limits = Arc::new(self.make(name, limits));
        }
    }

    fn make(&self, name: &str, old: &[Metered]) -> Vec<Metered> {
        let limits = self.rules.terms.iter().map(|terms| {
            let same = |metered: &&Metered| {
                metered.limit.measure() == terms.measure && metered.limit.window() == terms.window
            };
            let kept = old.iter().find(same);
            let limit = kept.map_or_else(
                || self.new_limit(terms),
                |kept| {
                    kept.limit.change(terms.ceiling, terms.hard);
                    Arc::clone(&kept.limit)
                },
            );
            let metered = self.metered(name, limit);
            if kept.is_none() {
                self.begin(&metered);
            }
            metered
        });
        limits.collect()
    }

    fn new_limit(&self, terms: &Terms) -> Arc<Limit> {
        let rank = self.shared.ranks.fetch_add(1, Ordering::Relaxed);
        Arc::new(Limit::new(rank, *terms, self.shared.clock.now()))
    }

    fn metered(&self, name: &str, limit: Arc<Limit>) -> Metered {
        let window = limit.window().map_or("now", stead_metering::Window::as_str);
        let measure = plan::name(limit.measure());
        Metered {
            key: format!("{}/{}/{name}/{measure}/{window}", self.project, self.object).into(),
            limit,
            subject: name.into(),
            quota: Arc::clone(&self.object),
            on_leader_lost: self.rules.on_leader_lost,
        }
    }

    /// Finds out where a new limit stands.
    fn begin(&self, metered: &Metered) {
        let now = self.shared.clock.now();
        if let Some(borrower) = &self.shared.borrower {
            // The lender knows.
            metered.limit.borrow_only();
            metered.limit.seed(metered.limit.read(now).span, 0, now);
            borrower.know(metered);
            return;
        }
        self.shared.ask(vec![Unseeded {
            project: self.project.clone(),
            kind: self.kind,
            metered: metered.clone(),
        }]);
    }
}
