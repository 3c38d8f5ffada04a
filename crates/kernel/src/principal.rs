//! Who makes a request, and whether they may.

use std::sync::Arc;

use ::http::request::Parts;

use crate::{Error, Result};

/// Well-known groups.
pub mod groups {
    /// May do everything.
    pub const ADMINS: &str = "system:masters";
    /// Stead's own controllers.
    pub const CONTROLLERS: &str = "stead:controllers";
    /// Processes that run the gateway role alone.
    pub const GATEWAYS: &str = "stead:gateways";
    /// Everyone who is signed in.
    pub const AUTHENTICATED: &str = "system:authenticated";
}

/// What is no kind, and is asked for by name all the same; in the group of Stead's own kinds.
pub mod resources {
    /// The journals of gateways: `create` adds rows.
    pub const JOURNALS: &str = "journals";
    /// Slices of quotas that gateways spend from: `create` takes one, `update` renews or returns it.
    pub const QUOTA_LEASES: &str = "quotaleases";
}

/// By what a principal proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The process itself (controllers).
    Process,
    /// The admin token made at first start, or a bearer token of a user.
    Token,
    /// A console session's cookie; writes need its CSRF proof.
    Session,
    /// An `ApiKey`, good for model APIs only.
    ApiKey {
        /// The project of the key.
        project: String,
        /// The object's name.
        name: String,
    },
    /// The token of a gateway process, good for what a gateway needs only.
    Gateway {
        /// The token's name.
        name: String,
    },
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user's name: `admin`, `ada`, `system:controller:gateway`.
    pub user: String,
    /// Groups, see [`groups`].
    pub groups: Vec<String>,
    /// Projects (namespaces) that are the principal's own; meaningless for admins.
    pub projects: Vec<String>,
    /// By what they proved it.
    pub credential: Credential,
}

impl Principal {
    /// The process itself, acting as the named controller.
    pub fn controller(name: &str) -> Self {
        Self {
            user: format!("system:controller:{name}"),
            groups: vec![groups::ADMINS.into(), groups::CONTROLLERS.into()],
            projects: Vec::new(),
            credential: Credential::Process,
        }
    }

    /// The administrator, by token.
    pub fn admin() -> Self {
        Self {
            user: "admin".into(),
            groups: vec![groups::ADMINS.into(), groups::AUTHENTICATED.into()],
            projects: Vec::new(),
            credential: Credential::Token,
        }
    }

    /// A process that runs the gateway role alone, by the token of that name.
    pub fn gateway(name: &str) -> Self {
        Self {
            user: format!("system:gateway:{name}"),
            groups: vec![groups::GATEWAYS.into()],
            projects: Vec::new(),
            credential: Credential::Gateway { name: name.into() },
        }
    }

    /// Whether the principal may do everything.
    pub fn is_admin(&self) -> bool {
        self.groups.iter().any(|group| group == groups::ADMINS)
    }

    /// Whether the project is one of the principal's own (every project, for admins).
    pub fn owns(&self, project: &str) -> bool {
        self.is_admin() || self.projects.iter().any(|own| own == project)
    }
}

/// What the `access` layer found out about a request; it is in the extensions of every request that comes
/// from outside. Surfaces read it with [`Identity::require`] and render the error in their own dialect.
#[derive(Debug, Clone)]
pub enum Identity {
    /// A valid credential.
    Known(Arc<Principal>),
    /// No credential at all.
    Anonymous,
    /// A credential that is wrong, expired or revoked; the text says which, never the credential.
    Rejected(String),
}

impl Identity {
    /// The principal of a request, or the error to render.
    pub fn require(extensions: &::http::Extensions) -> Result<Arc<Principal>> {
        match extensions.get::<Self>() {
            Some(Self::Known(principal)) => Ok(Arc::clone(principal)),
            Some(Self::Rejected(why)) => Err(Error::unauthenticated(why.clone())
                .hint("check the key, or make a new one: stead key create NAME")),
            Some(Self::Anonymous) | None => Err(Error::unauthenticated("this needs a credential")
                .hint("send `Authorization: Bearer KEY`; make a key with: stead key create NAME")),
        }
    }
}

/// Recognises one sort of credential. Asked in order for every request, so it must only look into memory.
pub trait Authenticator: Send + Sync {
    /// `None` when the request carries no credential of this sort.
    fn authenticate(&self, parts: &Parts) -> Option<Identity>;
}

/// What someone wants to do with a resource, in Kubernetes' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Read one.
    Get,
    /// Read many.
    List,
    /// Follow changes.
    Watch,
    /// Make one.
    Create,
    /// Replace one.
    Update,
    /// Change one.
    Patch,
    /// Remove one.
    Delete,
    /// Remove many.
    DeleteCollection,
}

impl Verb {
    /// Every verb, for conformance tests.
    pub const ALL: [Self; 8] = [
        Self::Get,
        Self::List,
        Self::Watch,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
        Self::DeleteCollection,
    ];

    /// The verb as RBAC rules spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// Whether the verb changes nothing.
    pub const fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// A question to the [`Authorizer`]: may this principal do this verb to this resource?
#[derive(Debug, Clone, Copy)]
pub struct AccessRequest<'a> {
    /// What.
    pub verb: Verb,
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Plural resource name (`modelproviders`), or `requests`, `usage`, … for what is no kind.
    pub resource: &'a str,
    /// `status`, `scale`, or empty.
    pub subresource: &'a str,
    /// The project; `None` for cluster-scoped resources and for lists across projects.
    pub project: Option<&'a str>,
    /// The object's name, if the request names one.
    pub name: Option<&'a str>,
}

/// Decides who may do what. The first cut is a fixed table; RBAC implements it later.
pub trait Authorizer: Send + Sync {
    /// `Ok` when allowed; else [`Reason::Forbidden`](crate::Reason::Forbidden) with who, what and why.
    fn authorize(&self, principal: &Principal, request: &AccessRequest<'_>) -> Result<()>;
}
