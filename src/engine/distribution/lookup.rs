//! What the rules of copying must know, looked up: keys, disks, defaults. Each once for as long as this lives, which is a
//! run, or a preview.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use crate::cloud::classify::Class;
use crate::cloud::governed::Governed;
use crate::cloud::port::{Fault, Read};
use crate::domain::copying::{Described, Destination, Disk, Encryption, Source};
use crate::domain::observed::{Image, Instance, Snapshot};
use crate::domain::place::{Place, Subject};
use crate::domain::plan::CopyTo;
use crate::engine::drive::effect::PATIENCE;

/// The code of a list that is not whole: it is about one image, not about who answers.
pub(crate) const INCOMPLETE: &str = "Incomplete";

/// What was looked up.
#[derive(Default)]
pub struct Facts {
    keys: RefCell<BTreeMap<(Place, String), Described>>,
    defaults: RefCell<BTreeMap<Place, Result<String, String>>>,
    encrypting: RefCell<BTreeMap<Place, bool>>,
    providers: RefCell<BTreeMap<Place, Option<BTreeSet<String>>>>,
    policies: RefCell<BTreeSet<String>>,
    /// Whether nobody waits for a destination; those that were silent, each with what came instead of an answer.
    at_once: bool,
    silent: RefCell<BTreeMap<Place, String>>,
    /// Where nobody answered however patiently it was asked, and since when.
    given_up: RefCell<BTreeMap<Place, (Instant, String)>>,
}

impl Facts {
    /// To know what can be known at once: a destination that does not answer counts as not known, and is not asked
    /// again. Its silence must delay no reboot.
    #[must_use]
    pub fn at_once() -> Self {
        Self { at_once: true, ..Self::default() }
    }

    /// What is asked of a destination.
    async fn there<T>(
        &self,
        to: &Place,
        ask: impl Future<Output = Read<Result<T, String>>>,
    ) -> Read<Result<T, String>> {
        if !self.at_once {
            return ask.await;
        }
        let silent = self.silent.borrow().get(to).cloned();
        if let Some(why) = silent {
            return Ok(Err(why));
        }
        match ask.await {
            Err(fault) if fault.class.passes() => {
                let why = fault.to_string();
                self.silent.borrow_mut().insert(to.clone(), why.clone());
                Ok(Err(why))
            }
            answer => answer,
        }
    }

    /// Nobody answers there.
    pub(crate) fn give_up(&self, place: &Place, why: String, now: Instant) {
        self.given_up.borrow_mut().insert(place.clone(), (now, why));
    }

    /// Why it is of no use to ask there, so soon after nobody answered.
    pub(crate) fn given_up(&self, place: &Place, now: Instant) -> Option<String> {
        let given_up = self.given_up.borrow();
        given_up.get(place).filter(|(since, _)| now - *since < PATIENCE).map(|(_, why)| why.clone())
    }

    /// A key of a destination.
    ///
    /// # Errors
    /// Nobody answered: it may pass.
    pub async fn key_there(&self, cloud: &Governed, to: &Place, key: &str) -> Read<Described> {
        self.there(to, self.key(cloud, to, key)).await
    }

    /// A key as `place` sees it, or why it cannot be described.
    ///
    /// # Errors
    /// Nobody answered: it may pass.
    pub async fn key(&self, cloud: &Governed, place: &Place, key: &str) -> Read<Described> {
        let index = (place.clone(), key.to_owned());
        if let Some(known) = self.keys.borrow().get(&index) {
            return Ok(known.clone());
        }
        let described = match cloud.key(place, key).await {
            Ok(key) => Ok(key),
            Err(fault) if fault.class.passes() => return Err(fault),
            Err(fault) => Err(format!("the key {key} cannot be described in {place}: {fault}")),
        };
        self.keys.borrow_mut().insert(index, described.clone());
        Ok(described)
    }

    /// Whether something that was looked up is under this key.
    pub(crate) fn knows(&self, key: &Subject) -> bool {
        self.keys.borrow().contains_key(&(key.place.clone(), key.id.clone()))
    }

    /// The policy of a key, the first time that it is asked for; none if it cannot be read.
    pub(crate) async fn policy_once(&self, cloud: &Governed, place: &Place, key: &str) -> Option<String> {
        let first = self.policies.borrow_mut().insert(key.to_owned());
        if first { cloud.key_policy(place, key).await.ok() } else { None }
    }

    async fn default_key(&self, cloud: &Governed, place: &Place) -> Read<Result<String, String>> {
        if let Some(known) = self.defaults.borrow().get(place) {
            return Ok(known.clone());
        }
        let default = match cloud.default_key(place).await {
            Ok(key) => Ok(key),
            Err(fault) if fault.class.passes() => return Err(fault),
            Err(fault) => Err(format!("the default EBS key of {place} cannot be asked for: {fault}")),
        };
        self.defaults.borrow_mut().insert(place.clone(), default.clone());
        Ok(default)
    }

    /// The key that a copy gets in `place` if nobody asks for one: none, but where everything is encrypted by default.
    /// What cannot be read is no reason to refuse anything.
    ///
    /// # Errors
    /// Nobody answered: it may pass.
    pub async fn key_by_default(&self, cloud: &Governed, place: &Place) -> Read<Option<String>> {
        let known = self.encrypting.borrow().get(place).copied();
        let encrypting = match known {
            Some(known) => known,
            None => {
                let asked = self.there(place, async { cloud.encrypts_by_default(place).await.map(Ok) }).await;
                asked.ok().and_then(Result::ok).unwrap_or(false)
            }
        };
        self.encrypting.borrow_mut().insert(place.clone(), encrypting);
        Ok(if encrypting { self.there(place, self.default_key(cloud, place)).await?.ok() } else { None })
    }

    /// Whose images `place` may see, if it does not see all: asked of other accounts only.
    async fn providers(&self, cloud: &Governed, place: &Place) -> Option<BTreeSet<String>> {
        if let Some(known) = self.providers.borrow().get(place) {
            return known.clone();
        }
        let asked = self.there(place, async { cloud.allowed_images(place).await.map(Ok) }).await;
        let allowed = asked.ok().and_then(Result::ok);
        let providers =
            allowed.filter(|allowed| allowed.enabled && !allowed.by_other_means).map(|allowed| allowed.providers);
        self.providers.borrow_mut().insert(place.clone(), providers.clone());
        providers
    }

    async fn disks(&self, cloud: &Governed, place: &Place, disks: Vec<(String, Option<String>)>) -> Read<Vec<Disk>> {
        let mut found = Vec::new();
        for (id, key) in disks {
            let encryption = match key {
                None => Encryption::None,
                Some(arn) => match self.key(cloud, place, &arn).await? {
                    Ok(key) => Encryption::Key(key),
                    Err(why) => Encryption::Unread { arn, why },
                },
            };
            found.push(Disk { id, encryption });
        }
        Ok(found)
    }

    /// An image and its snapshots.
    ///
    /// # Errors
    /// They could not be read.
    pub async fn of_image(&self, cloud: &Governed, place: &Place, image: &Image) -> Read<Source> {
        let snapshots = snapshots(cloud, place, image).await?;
        let disks = self.disks(cloud, place, snapshots.into_iter().map(|s| (s.id, s.key)).collect()).await?;
        Ok(source(&image.id, place, disks, image.product_codes))
    }

    /// Instances and their volumes: what images that are made of them will be.
    ///
    /// # Errors
    /// They could not be read.
    pub async fn of_instances(&self, cloud: &Governed, place: &Place, instances: &[&Instance]) -> Read<Vec<Source>> {
        let ids: Vec<String> = instances.iter().flat_map(|i| i.volumes.iter().cloned()).collect();
        let volumes: BTreeMap<String, Option<String>> =
            cloud.volumes(place, &ids).await?.into_iter().map(|v| (v.id, v.key)).collect();
        let mut sources = Vec::new();
        for instance in instances {
            let disks = instance.volumes.iter().filter_map(|id| Some((id.clone(), volumes.get(id)?.clone())));
            let disks = self.disks(cloud, place, disks.collect()).await?;
            sources.push(source(&instance.id, place, disks, instance.product_codes));
        }
        Ok(sources)
    }

    /// Where and how a copy of `source` is wanted.
    ///
    /// # Errors
    /// Nobody answered: it may pass.
    pub async fn destination(&self, cloud: &Governed, source: &Source, copy: &CopyTo) -> Read<Destination> {
        let to = copy.place(&source.account);
        let key = match &copy.kms_key {
            Some(key) => Some((key.clone(), self.key_there(cloud, &to, key).await?)),
            None => None,
        };
        let encrypted = source.disks.iter().any(|disk| disk.encryption != Encryption::None);
        let default_key =
            if key.is_none() && encrypted { Some(self.there(&to, self.default_key(cloud, &to)).await?) } else { None };
        let other = to.account != source.account;
        let providers = if other { self.providers(cloud, &to).await } else { None };
        Ok(Destination {
            providers,
            name: copy.account.as_ref().map(|account| account.name.clone()),
            via: self.via(cloud, source, copy.via_key.as_deref()).await?,
            account: to.account,
            region: to.region,
            key,
            default_key,
        })
    }

    /// The key of a copy in the source's own place.
    ///
    /// # Errors
    /// Nobody answered: it may pass.
    pub async fn via(&self, cloud: &Governed, source: &Source, key: Option<&str>) -> Read<Option<(String, Described)>> {
        let place = Place::new(&source.account, &source.region);
        Ok(match key {
            Some(key) => Some((key.to_owned(), self.key(cloud, &place, key).await?)),
            None => None,
        })
    }
}

/// All snapshots of an image. One that is not listed yet would read as a disk that is not there.
///
/// # Errors
/// They could not be read, or not all are listed.
pub(crate) async fn snapshots(cloud: &Governed, place: &Place, image: &Image) -> Read<Vec<Snapshot>> {
    let snapshots = cloud.snapshots(place, &image.snapshots).await?;
    if snapshots.len() < image.snapshots.len() {
        let message =
            format!("{} of the {} snapshots of {} are listed", snapshots.len(), image.snapshots.len(), image.id);
        return Err(Fault { class: Class::Transient, code: INCOMPLETE.into(), message, request_id: None });
    }
    Ok(snapshots)
}

fn source(id: &str, place: &Place, disks: Vec<Disk>, product_codes: bool) -> Source {
    Source { id: id.to_owned(), account: place.account.clone(), region: place.region.clone(), disks, product_codes }
}
