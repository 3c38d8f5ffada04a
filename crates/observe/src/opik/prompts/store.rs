//! Prompts and their versions as records.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Value, json};
use stead_kernel::{
    Error, Reason, Result,
    ports::{RecordQuery, RecordWrite, Records, Within},
};

use super::{
    PROMPTS, VERSIONS,
    shape::{Prompt, PromptUpdate, PromptWrite, Version, VersionWrite},
};
use crate::opik::shelf::{Claim, Kept, Shelf, Stamps, Sweep, Sweeps, TRIES, Who, busy, new_id};

/// The prompts of all workspaces.
#[derive(Clone)]
pub(crate) struct Prompts {
    shelf: Shelf<Prompt>,
    versions: Shelf<Version>,
    sweeps: Sweeps,
}

/// Which version of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick<'a> {
    /// The newest.
    Latest,
    /// The one with this commit.
    Commit(&'a str),
    /// The one with this number.
    Number(u64),
    /// The one of this environment.
    Environment(&'a str),
}

impl Prompts {
    /// Over a store.
    pub(crate) fn new(records: &Arc<dyn Records>) -> Self {
        Self {
            shelf: Shelf::new(Arc::clone(records), PROMPTS, "Prompt"),
            versions: Shelf::new(Arc::clone(records), VERSIONS, "Prompt version"),
            sweeps: Sweeps::new(Arc::clone(records)),
        }
    }

    /// All prompts of a workspace, the newest first.
    pub(super) async fn all(&self, workspace: &str) -> Result<Vec<Prompt>> {
        let query = RecordQuery {
            descending: true,
            ..self.shelf.query(workspace)
        };
        Ok(self
            .shelf
            .all(query)
            .await?
            .into_iter()
            .map(|kept| kept.body)
            .collect())
    }

    /// One prompt.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub(super) async fn get(&self, workspace: &str, id: &str) -> Result<Prompt> {
        Ok(self.shelf.need(workspace, id).await?.body)
    }

    /// The prompt of a name: the project's, else the workspace's own; without a project the workspace's own, else the
    /// newest of any project.
    pub(super) async fn find(
        &self,
        workspace: &str,
        project: Option<&str>,
        name: &str,
    ) -> Result<Option<Prompt>> {
        let places = [project, None];
        for project in places.into_iter().skip(usize::from(project.is_none())) {
            let claim = claim(workspace, project, name);
            if let Some(id) = claim.owner(&**self.shelf.records()).await? {
                return Ok(self.shelf.get(workspace, &id).await?.map(|kept| kept.body));
            }
        }
        if project.is_some() {
            return Ok(None);
        }
        let found = self.shelf.having(workspace, "name", name).await?;
        Ok(found.into_iter().next().map(|kept| kept.body))
    }

    /// The error for a prompt that is not there.
    pub(super) fn missing(&self) -> Error {
        self.shelf.missing()
    }

    /// Makes a prompt, with its first version if there is one; its project, if it has one, stands in `project_id`.
    ///
    /// # Errors
    /// `Conflict` when the name or an id is taken, `Invalid` when a field breaks a rule.
    pub(super) async fn create(
        &self,
        who: &Who,
        write: &PromptWrite,
        first: Option<VersionWrite>,
    ) -> Result<(Prompt, Option<Version>)> {
        let mut prompt = new_prompt(who, write)?;
        let first = first
            .map(|first| next_version(who, &mut prompt, first))
            .transpose()?;
        let mut writes = Vec::new();
        if let Some(version) = &first {
            writes.push(self.versions.create(&who.project, &version.id, version)?);
        }
        let claim = claim(&who.project, prompt.project_id.as_deref(), &prompt.name);
        writes.push(self.shelf.create(&who.project, &prompt.id, &prompt)?);
        writes.push(claim.take(&prompt.id));
        self.shelf.commit(writes).await?;
        Ok((prompt, first))
    }

    /// Adds a version to the prompt of a name, which is made when there is none.
    ///
    /// # Errors
    /// `Conflict` when the commit or the id is taken, `Invalid` when a field breaks a rule.
    pub(super) async fn add_named(
        &self,
        who: &Who,
        prompt: &PromptWrite,
        version: &VersionWrite,
    ) -> Result<Version> {
        for _ in 0..TRIES {
            let found = self
                .find(&who.project, prompt.project_id.as_deref(), &prompt.name)
                .await?;
            if let Some(found) = found {
                return self.add(who, &found.id, version).await;
            }
            match self.create(who, prompt, Some(version.clone())).await {
                Ok((_, Some(version))) => return Ok(version),
                Ok((_, None)) => return Err(self.versions.missing()),
                Err(error) if error.reason() == Reason::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(busy())
    }

    /// Adds a version to a prompt.
    ///
    /// # Errors
    /// As [`add_named`](Self::add_named); `NotFound` when there is no such prompt.
    pub(super) async fn add(&self, who: &Who, prompt: &str, write: &VersionWrite) -> Result<Version> {
        for _ in 0..TRIES {
            let mut kept = self.shelf.need(&who.project, prompt).await?;
            let version = next_version(who, &mut kept.body, write.clone())?;
            let same = self.having_commit(&who.project, &version.commit).await?;
            let there = self.versions.get(&who.project, &version.id).await?.is_some();
            if there || same.iter().any(|other| other.prompt_id == version.prompt_id) {
                return Err(self.versions.taken());
            }
            kept.body.stamps.touch(who);
            let mut writes = vec![
                kept.put()?,
                self.versions.create(&who.project, &version.id, &version)?,
            ];
            writes.extend(self.leave(&who.project, &version, &version.environments).await?);
            match self.shelf.records().commit(writes).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                result => return result.map(|_| version),
            }
        }
        Err(busy())
    }

    /// Takes environments from the versions that have them, but for one version.
    async fn leave(
        &self,
        workspace: &str,
        but: &Version,
        environments: &[String],
    ) -> Result<Vec<RecordWrite>> {
        if environments.is_empty() {
            return Ok(Vec::new());
        }
        let mut writes = Vec::new();
        for mut kept in self.kept_versions(workspace, &but.prompt_id, 0).await? {
            let before = kept.body.environments.len();
            kept.body.environments.retain(|own| !environments.contains(own));
            if kept.body.id != but.id && kept.body.environments.len() < before {
                writes.push(kept.put()?);
            }
        }
        Ok(writes)
    }

    /// Gives a version these environments and no others, and takes them from the prompt's other versions.
    ///
    /// # Errors
    /// `NotFound` when there is no such version.
    pub(super) async fn place(&self, who: &Who, id: &str, environments: &[String]) -> Result<()> {
        for _ in 0..TRIES {
            let mut kept = self.versions.need(&who.project, id).await?;
            // The prompt's own version keeps two such changes one after another.
            let prompt = self.shelf.need(&who.project, &kept.body.prompt_id).await?;
            kept.body.environments = environments.to_vec();
            let mut writes = vec![prompt.put()?, kept.put()?];
            writes.extend(self.leave(&who.project, &kept.body, environments).await?);
            match self.shelf.records().commit(writes).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                result => return result.map(drop),
            }
        }
        Err(busy())
    }

    /// Changes a prompt.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Conflict` when the new name is taken, `Invalid` when a field breaks a rule.
    pub(super) async fn update(&self, who: &Who, id: &str, update: &PromptUpdate) -> Result<()> {
        for _ in 0..TRIES {
            let mut kept = self.shelf.need(&who.project, id).await?;
            let before = kept.body.name.clone();
            kept.body.name.clone_from(&update.name);
            kept.body.description = update.description.clone().or(kept.body.description);
            if let Some(tags) = &update.tags {
                kept.body.tags.clone_from(tags);
            }
            kept.body.stamps.touch(who);
            check(&kept.body)?;
            let mut writes = vec![kept.put()?];
            if kept.body.name != before {
                let claim = |name: &str| claim(&who.project, kept.body.project_id.as_deref(), name);
                if claim(&update.name)
                    .owner(&**self.shelf.records())
                    .await?
                    .is_some()
                {
                    return Err(self.shelf.taken());
                }
                writes.extend([claim(&before).release(), claim(&update.name).take(id)]);
            }
            match self.shelf.records().commit(writes).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                result => return result.map(drop),
            }
        }
        Err(busy())
    }

    /// Removes a prompt with its versions; one that is not there is passed over.
    pub(super) async fn delete(&self, workspace: &str, id: &str) -> Result<()> {
        for _ in 0..TRIES {
            let Some(kept) = self.shelf.get(workspace, id).await? else {
                return Ok(());
            };
            let claim = claim(workspace, kept.body.project_id.as_deref(), &kept.body.name);
            let mut writes = vec![kept.delete(), claim.release()];
            let under = [Sweep::under(VERSIONS, id), Sweep::under(VERSIONS, &masks(id))];
            writes.extend(self.sweeps.plan(workspace, &under)?);
            match self.shelf.records().commit(writes).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                Err(error) => return Err(error),
                Ok(_) => return self.sweeps.run(Some(workspace)).await,
            }
        }
        Err(busy())
    }

    /// One version by its id.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub(super) async fn version(&self, workspace: &str, id: &str) -> Result<Version> {
        Ok(self.versions.need(workspace, id).await?.body)
    }

    /// Those of the versions that are there.
    pub(crate) async fn versions_by_id(&self, workspace: &str, ids: &[String]) -> Result<Vec<Version>> {
        let found = self.versions.get_many(workspace, ids).await?;
        Ok(found.into_iter().map(|kept| kept.body).collect())
    }

    /// Those of the versions that are there as `PromptVersionLink`, by id.
    pub(crate) async fn links(&self, workspace: &str, ids: &[String]) -> Result<HashMap<String, Value>> {
        let versions = self.versions_by_id(workspace, ids).await?;
        let prompts: Vec<String> = versions.iter().map(|version| version.prompt_id.clone()).collect();
        let prompts = self.shelf.get_many(workspace, &prompts).await?;
        let links = versions.into_iter().map(|version| {
            let prompt = prompts.iter().find(|prompt| prompt.id() == version.prompt_id);
            // Two sorts of links have one name in the document, and this id is called so in one and so in the other.
            let link = json!({
                "id": version.id,
                "prompt_version_id": version.id,
                "commit": version.commit,
                "version_number": version.number.map(|number| format!("v{number}")),
                "prompt_id": version.prompt_id,
                "prompt_name": prompt.map(|prompt| &prompt.body.name),
            });
            (version.id, link)
        });
        Ok(links.collect())
    }

    /// The ids of all versions of a prompt.
    pub(crate) async fn ids_of(&self, workspace: &str, prompt: &str) -> Result<HashSet<String>> {
        let all = self.versions(workspace, prompt).await?;
        Ok(all.into_iter().map(|version| version.id).collect())
    }

    /// The versions with a commit, of any prompt, the newest first.
    pub(super) async fn having_commit(&self, workspace: &str, commit: &str) -> Result<Vec<Version>> {
        let found = self.versions.having(workspace, "commit", commit).await?;
        Ok(found.into_iter().map(|kept| kept.body).collect())
    }

    /// All versions of a prompt but its masks, the newest first.
    pub(super) async fn versions(&self, workspace: &str, prompt: &str) -> Result<Vec<Version>> {
        let found = self.kept_versions(workspace, prompt, 0).await?;
        Ok(found.into_iter().map(|kept| kept.body).collect())
    }

    async fn kept_versions(&self, workspace: &str, prompt: &str, limit: usize) -> Result<Vec<Kept<Version>>> {
        let query = RecordQuery {
            within: vec![Within::prefix("place", &format!("{prompt}/"))],
            order_by: Some("place".into()),
            descending: true,
            limit,
            ..self.versions.query(workspace)
        };
        self.versions.all(query).await
    }

    /// The version of a prompt that is meant.
    pub(super) async fn pick(
        &self,
        workspace: &str,
        prompt: &Prompt,
        pick: Pick<'_>,
    ) -> Result<Option<Version>> {
        let version = match pick {
            Pick::Latest => {
                let Some(id) = &prompt.latest_id else {
                    return Ok(None);
                };
                return Ok(self.versions.get(workspace, id).await?.map(|kept| kept.body));
            }
            Pick::Commit(commit) => {
                let all = self.having_commit(workspace, commit).await?;
                all.into_iter().find(|version| version.prompt_id == prompt.id)
            }
            Pick::Number(number) => {
                let place = place(&prompt.id, number);
                let mut found = self.versions.having(workspace, "place", place).await?;
                found.pop().map(|kept| kept.body)
            }
            Pick::Environment(environment) => {
                let all = self.versions(workspace, &prompt.id).await?;
                all.into_iter()
                    .find(|version| version.environments.iter().any(|own| own == environment))
            }
        };
        Ok(version)
    }

    /// Changes the labels of a version.
    pub(super) async fn label(
        &self,
        workspace: &str,
        id: &str,
        change: impl Fn(&mut Vec<String>),
    ) -> Result<()> {
        let change = |version: &mut Version| {
            change(&mut version.tags);
            Ok(())
        };
        self.versions.change(workspace, id, change).await.map(drop)
    }
}

fn claim(workspace: &str, project: Option<&str>, name: &str) -> Claim {
    Claim::new(workspace, "prompt", project, name)
}

fn place(prompt: &str, number: u64) -> String {
    format!("{prompt}/{number:010}")
}

/// Where masks lie, beside the versions that count.
fn masks(prompt: &str) -> String {
    format!("mask:{prompt}")
}

fn new_prompt(who: &Who, write: &PromptWrite) -> Result<Prompt> {
    let prompt = Prompt {
        id: write.id.clone().unwrap_or_else(new_id),
        name: write.name.clone(),
        project_id: write.project_id.clone(),
        description: write.description.clone(),
        template_structure: write
            .template_structure
            .clone()
            .unwrap_or_else(|| "text".to_owned()),
        tags: write.tags.clone().unwrap_or_default(),
        stamps: Stamps::new(who),
        latest: 0,
        latest_id: None,
    };
    check(&prompt)?;
    Ok(prompt)
}

/// The next version of a prompt, which counts it.
fn next_version(who: &Who, prompt: &mut Prompt, write: VersionWrite) -> Result<Version> {
    let id = write.id.unwrap_or_else(new_id);
    let mask = write.version_type.as_deref() == Some("mask");
    let number = (!mask).then_some(prompt.latest + 1);
    let place = match number {
        Some(number) => place(&prompt.id, number),
        None => format!("{}/{id}", masks(&prompt.id)),
    };
    let mut environments = write.environments.unwrap_or_default();
    environments.extend(write.environment.filter(|_| environments.is_empty()));
    let version = Version {
        // The end of an id is chance; its beginning is the time.
        commit: write
            .commit
            .unwrap_or_else(|| id.chars().skip(id.len().saturating_sub(8)).collect()),
        prompt_id: prompt.id.clone(),
        number,
        template: write.template,
        metadata: write.metadata,
        syntax: write.syntax.unwrap_or_else(|| "mustache".to_owned()),
        environments,
        change_description: write.change_description,
        tags: write.tags.unwrap_or_default(),
        template_structure: prompt.template_structure.clone(),
        created_at: who.now,
        created_by: who.user.clone(),
        place,
        id,
    };
    check_version(&version)?;
    if let Some(number) = number {
        prompt.latest = number;
        prompt.latest_id = Some(version.id.clone());
    }
    Ok(version)
}

fn check(prompt: &Prompt) -> Result<()> {
    let description = prompt.description.as_deref().unwrap_or_default();
    let structure = prompt.template_structure.as_str();
    let rules = [
        (prompt.name.trim().is_empty(), "name must not be blank"),
        (
            description.chars().count() > 255,
            "description cannot exceed 255 characters",
        ),
        (
            !["text", "chat"].contains(&structure),
            "template_structure must be `text` or `chat`",
        ),
    ];
    broken(&rules)
}

fn check_version(version: &Version) -> Result<()> {
    let commit = version.commit.as_bytes();
    let named = commit.len() == 8 && commit.iter().all(u8::is_ascii_alphanumeric);
    let known = ["mustache", "jinja2", "python"].contains(&version.syntax.as_str());
    let environments = version.environments.iter();
    let rules = [
        (version.template.trim().is_empty(), "template must not be blank"),
        (!named, "commit must have 8 letters or digits"),
        (!known, "type must be `mustache`, `jinja2` or `python`"),
        (
            environments.clone().any(String::is_empty),
            "an environment must have a name",
        ),
    ];
    broken(&rules)
}

fn broken(rules: &[(bool, &str)]) -> Result<()> {
    match rules.iter().find(|(broken, _)| *broken) {
        Some((_, rule)) => Err(Error::invalid(*rule)),
        None => Ok(()),
    }
}
