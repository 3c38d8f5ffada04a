//! Leadership: the control process that holds the Lease runs the controllers.
//!
//! Over one data folder there is only one control process (the folder's lock sees to that), so whoever is named in the
//! Lease at a start is gone. Someone who takes it later does so on purpose, and this process steps down by stopping.

use std::time::Duration;

use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::Namespace,
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use stead_kernel::{Error, Result, Tasks, Timestamp};
use tokio_util::sync::CancellationToken;

/// Where the Lease lies: in no project of anybody's.
const NAMESPACE: &str = "stead-system";
const NAME: &str = "stead-leader";
/// For how long a renewal counts, in seconds.
const SECONDS: i32 = 60;
/// Marks the error that somebody else has it, apart from a write that came between.
const TAKEN: &str = "whoever has the lease leads";
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(20);

/// This process as the leader.
pub(super) struct Leader {
    leases: Api<Lease>,
    me: String,
    /// Cancelled when someone else leads.
    pub(super) lost: CancellationToken,
}

/// What to do about a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// It is nobody's, or of someone who is gone.
    Take,
    /// It is ours.
    Renew,
    /// Someone else has it.
    GiveUp(String),
}

fn step(holder: Option<&str>, me: &str, starting: Starting) -> Step {
    match (holder, starting) {
        (None | Some(""), _) | (Some(_), Starting::Yes) => Step::Take,
        (Some(holder), Starting::No) if holder == me => Step::Renew,
        (Some(holder), Starting::No) => Step::GiveUp(holder.to_owned()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Starting {
    Yes,
    No,
}

impl Leader {
    /// Takes the Lease, and renews it until shutdown.
    ///
    /// # Errors
    /// When the resource API does not take it.
    pub(super) async fn lead(client: &Client, tasks: &Tasks) -> Result<CancellationToken> {
        let leader = Self {
            leases: Api::namespaced(client.clone(), NAMESPACE),
            me: identity(),
            lost: CancellationToken::new(),
        };
        make_namespace(client).await?;
        leader.look(Starting::Yes).await?;
        let lost = leader.lost.clone();
        tasks.spawn_until_stopped("leadership", leader.keep());
        Ok(lost)
    }

    async fn keep(self) {
        loop {
            tokio::time::sleep(RENEW).await;
            let Err(error) = self.look(Starting::No).await else {
                continue;
            };
            // Everything else passes, and the folder's lock sees to it that nobody else is there meanwhile.
            let taken = error.get_hint() == Some(TAKEN);
            tracing::error!(
                error = error.full_message(),
                taken,
                "the leader's lease could not be renewed"
            );
            if taken {
                self.lost.cancel();
                return;
            }
        }
    }

    async fn look(&self, starting: Starting) -> Result<()> {
        let found = self.leases.get_opt(NAME).await?;
        let spec = found.as_ref().and_then(|lease| lease.spec.as_ref());
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref());
        let step = step(holder, &self.me, starting);
        if let Step::GiveUp(holder) = &step {
            let text = format!("{holder} has taken the lease {NAMESPACE}/{NAME} of the leader");
            return Err(Error::conflict(text).hint(TAKEN));
        }
        let lease = self.lease(found.as_ref(), step == Step::Take, Timestamp::now());
        let parameters = PostParams::default();
        if found.is_some() {
            self.leases.replace(NAME, &parameters, &lease).await?;
        } else {
            self.leases.create(&parameters, &lease).await?;
        }
        Ok(())
    }

    fn lease(&self, found: Option<&Lease>, taken: bool, now: Timestamp) -> Lease {
        let mut lease = found.cloned().unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(NAME.into()),
                namespace: Some(NAMESPACE.into()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let old = lease.spec.take().unwrap_or_default();
        let transitions = old.lease_transitions.unwrap_or(0);
        let began = old.acquire_time.filter(|_| !taken).unwrap_or(MicroTime(now));
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: Some(SECONDS),
            acquire_time: Some(began),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions + i32::from(taken && found.is_some())),
            ..LeaseSpec::default()
        });
        lease
    }
}

/// This machine and this process, unlike any other.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{host}_{}_{}", std::process::id(), uuid::Uuid::now_v7())
}

async fn make_namespace(client: &Client) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    if namespaces.get_opt(NAMESPACE).await?.is_some() {
        return Ok(());
    }
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(NAMESPACE.into()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    match namespaces.create(&PostParams::default(), &namespace).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_is_taken_at_a_start_and_given_up_to_whoever_took_it_later() {
        let table = [
            (None, Starting::Yes, Step::Take),
            (Some("old"), Starting::Yes, Step::Take),
            (Some("me"), Starting::Yes, Step::Take),
            (Some("me"), Starting::No, Step::Renew),
            (Some(""), Starting::No, Step::Take),
            (None, Starting::No, Step::Take),
            (Some("other"), Starting::No, Step::GiveUp("other".into())),
        ];
        for (holder, starting, expected) in table {
            assert_eq!(step(holder, "me", starting), expected, "{holder:?} {starting:?}");
        }
    }

    #[tokio::test]
    async fn a_renewal_keeps_when_the_lease_was_taken_and_a_new_holder_counts_as_a_transition() {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::empty()))
        });
        let client = Client::new(service, "default");
        let leader = |me: &str| Leader {
            leases: Api::namespaced(client.clone(), NAMESPACE),
            me: me.into(),
            lost: CancellationToken::new(),
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = leader("a").lease(None, true, at(1));
        let renewed = leader("a").lease(Some(&first), false, at(2)).spec.unwrap();
        assert_eq!(renewed.acquire_time, Some(MicroTime(at(1))));
        assert_eq!(renewed.renew_time, Some(MicroTime(at(2))));
        assert_eq!(renewed.lease_transitions, Some(0));
        let taken = leader("b").lease(Some(&first), true, at(3)).spec.unwrap();
        assert_eq!(taken.lease_transitions, Some(1));
        assert_eq!(taken.acquire_time, Some(MicroTime(at(3))));
        assert_eq!(taken.holder_identity.as_deref(), Some("b"));
    }
}
