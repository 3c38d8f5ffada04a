//! Brings the resource API of this process to what the files say.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use stead_kernel::{Error, GROUP, Result, VERSION};

use super::manifests::Object;

/// Who owns the fields, for server-side apply.
const MANAGER: &str = "files";

/// Kind, project and name of an object that was applied.
type Id = (String, String, String);

/// Applies files, and remembers what it applied.
pub(super) struct Loader {
    client: Client,
    /// The gateway's own kinds.
    kinds: BTreeSet<String>,
    applied: BTreeSet<Id>,
}

impl Loader {
    pub(super) fn new(client: Client) -> Self {
        let kinds = crate::modules::gateway().kinds.into_iter();
        Self {
            client,
            kinds: kinds.map(|kind| kind.definition.spec.names.kind).collect(),
            applied: BTreeSet::new(),
        }
    }

    /// Makes the state what the objects say: tries all, then applies all, then removes what is gone.
    ///
    /// # Errors
    /// What is wrong with the first object that is refused, with its place; nothing is changed then.
    pub(super) async fn apply(&mut self, objects: Vec<Object>) -> Result<()> {
        for object in &objects {
            self.check_kind(object)?;
            self.make_project(&object.project).await?;
        }
        for object in &objects {
            self.put(object, &parameters().dry_run()).await?;
        }
        // What is referred to comes before what refers to it.
        let (first, later): (Vec<_>, Vec<_>) = objects.iter().partition(|object| object.kind == "Secret");
        for object in first.into_iter().chain(later) {
            self.put(object, &parameters()).await?;
        }
        let wanted: BTreeSet<Id> = objects.iter().map(id).collect();
        for gone in self.applied.difference(&wanted) {
            self.remove(gone).await?;
        }
        self.applied = wanted;
        Ok(())
    }

    /// Lets through only what the data plane works from.
    fn check_kind(&self, object: &Object) -> Result<()> {
        let secret = object.kind == "Secret";
        let expected = if secret {
            "v1".to_owned()
        } else {
            format!("{GROUP}/{VERSION}")
        };
        if object.api_version == expected && (secret || self.kinds.contains(&object.kind)) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{}: {} of {} is nothing that a gateway works from",
            object.place, object.kind, object.api_version
        ))
        .hint("leave it to a server with the control role: stead up"))
    }

    async fn put(&self, object: &Object, parameters: &PatchParams) -> Result<()> {
        let api = self.api(&object.kind, &object.project);
        let patch = Patch::Apply(&object.value);
        match api.patch(&object.name, parameters, &patch).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = Error::from(error);
                let text = format!("{}: {}", object.place, error.full_message());
                Err(Error::new(error.reason(), text))
            }
        }
    }

    async fn remove(&self, (kind, project, name): &Id) -> Result<()> {
        let api = self.api(kind, project);
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn make_project(&self, name: &str) -> Result<()> {
        let projects: Api<Namespace> = Api::all(self.client.clone());
        if projects.get_opt(name).await?.is_some() {
            return Ok(());
        }
        let project = Namespace {
            metadata: ObjectMeta {
                name: Some(name.into()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        projects.create(&PostParams::default(), &project).await?;
        Ok(())
    }

    fn api(&self, kind: &str, project: &str) -> Api<DynamicObject> {
        let kind = if kind == "Secret" {
            GroupVersionKind::gvk("", "v1", kind)
        } else {
            GroupVersionKind::gvk(GROUP, VERSION, kind)
        };
        Api::namespaced_with(self.client.clone(), project, &ApiResource::from_gvk(&kind))
    }
}

fn parameters() -> PatchParams {
    PatchParams {
        field_validation: Some(kube::api::ValidationDirective::Strict),
        ..PatchParams::apply(MANAGER).force()
    }
}

fn id(object: &Object) -> Id {
    (object.kind.clone(), object.project.clone(), object.name.clone())
}
