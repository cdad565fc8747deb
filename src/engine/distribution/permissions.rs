//! Who may use an image of ours: what is wanted on it, what lies between that and what is there, and how the gap is
//! closed. What is wanted is the union of all open purposes; taken back is only what we have added.

use std::collections::{BTreeMap, BTreeSet};

use crate::cloud::classify::Class;
use crate::cloud::port::{Change, CreateGrant, Effect, ImageQuery, Read};
use crate::defect::{Defect, planted};
use crate::domain::copying::{names, policy};
use crate::domain::fact::{Permitting, StepId};
use crate::domain::observed::{Image, ImageState, Snapshot, Tags};
use crate::domain::place::{Place, Subject};
use crate::domain::plan::Share;
use crate::domain::saga::{Phase, RunState, StepState};
use crate::domain::sharing::{self, Gap, Grantee};
use crate::engine::context::Context;
use crate::engine::distribution::key_grants::accounts;
use crate::engine::distribution::lookup;
use crate::engine::distribution::permission_state::granted;

/// The lock under which grants are read and changed.
pub(crate) const KEYS: &str = "keys";

/// Another account that is let in for as long as it copies one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loan {
    /// Where the copy is made: the account that is let in.
    pub to: Place,
    /// The role that copies there.
    pub role: String,
    /// The ARNs of the keys that it needs.
    pub keys: BTreeSet<String>,
}

/// A purpose that is open in some run.
#[derive(Debug, Clone)]
pub struct Purpose {
    pub plan: String,
    pub image: Subject,
    pub loan: Loan,
}

/// What is wanted on one image, and by whom.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Who may launch it.
    pub launch: BTreeSet<Grantee>,
    /// Who may make volumes of its snapshots.
    pub volumes: BTreeSet<Grantee>,
    /// Of each key: the ARNs of those who may use it.
    pub keys: BTreeMap<String, BTreeSet<String>>,
}

impl Wanted {
    /// That `[share]` wants its accounts to use each of the keys.
    pub fn share_keys(&mut self, share: Option<&Share>, place: &Place) {
        for (key, who) in &mut self.keys {
            who.extend(share.into_iter().flat_map(|share| accounts(share, place, key)));
        }
    }
}

/// One image or snapshot of which something differs.
struct Part {
    id: String,
    snapshot: bool,
    tags: Tags,
    gap: Gap,
}

/// What lies between what is wanted and what is there.
pub struct Distance {
    place: Place,
    parts: Vec<Part>,
    grant: Vec<CreateGrant>,
    /// Key and grant.
    revoke: Vec<(String, String)>,
}

impl Distance {
    /// Whether nothing is to do.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.parts.iter().all(|part| part.gap.is_closed()) && self.grant.is_empty() && self.revoke.is_empty()
    }

    /// The images and snapshots to which somebody is let in: this account, if one is named.
    pub fn added<'a>(&'a self, to: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        let is_let_in =
            move |part: &&Part| part.gap.add.iter().any(|who| to.is_none_or(|to| who.account() == Some(to)));
        self.parts.iter().filter(is_let_in).map(|part| part.id.as_str())
    }

    /// Only what is missing: nothing is taken back.
    #[must_use]
    pub fn adding(mut self) -> Self {
        self.revoke.clear();
        for part in &mut self.parts {
            part.gap.remove.clear();
            part.gap.after = part.gap.before.clone();
        }
        self
    }

    /// Only what is too much: nothing is added.
    #[must_use]
    pub fn removing(mut self) -> Self {
        self.grant.clear();
        for Part { gap, .. } in &mut self.parts {
            for missing in std::mem::take(&mut gap.add) {
                if !gap.told.contains(missing.short()) {
                    gap.before.remove(missing.short());
                    gap.after.remove(missing.short());
                }
            }
        }
        self
    }

    /// Who else may use the image or its snapshots, each with what: we did not let them in.
    pub fn foreign(&self) -> impl Iterator<Item = (&str, &Grantee)> {
        self.parts.iter().flat_map(|part| part.gap.foreign.iter().map(|g| (part.id.as_str(), g)))
    }
}

/// The ARN by which a whole account is granted a key.
#[must_use]
pub fn root_of(account: &str, key: &str) -> String {
    let partition = key.split(':').nth(1).unwrap_or("aws");
    format!("arn:{partition}:iam::{account}:root")
}

/// All purposes that are open now, in all runs.
fn purposes(shared: &Context) -> Vec<Purpose> {
    let runs = shared.runs.borrow();
    let mut open = Vec::new();
    for run in runs.values() {
        let state = run.state.borrow();
        for (subject, steps) in &state.others {
            for (id, lend) in steps {
                let StepId::Lend(label) = id else { continue };
                let lost = matches!(lend.phase, Phase::Bad(_) | Phase::Left(_));
                let copied = steps.get(&StepId::Copy(label.clone())).is_some_and(StepState::ended);
                let copied = copied && !may_be_copied(&state, subject, label);
                if !lost
                    && !copied
                    // What was there already was not intended.
                    && let Some((image, loan)) = told(lend).and_then(|told| read_loan(&subject.place, told))
                {
                    open.push(Purpose { plan: run.plan.clone(), image, loan });
                }
            }
        }
    }
    open.extend(shared.open_purposes());
    open
}

/// Whether what was found lent to a destination may be lent for a copy that a lost journal knew of, and that nobody could look
/// for: then it stays until a later run can list the destination.
pub(crate) fn may_be_copied(state: &RunState, subject: &Subject, label: &str) -> bool {
    let Some(steps) = state.others.get(subject).filter(|_| state.rebuilt) else { return false };
    let found = |lend: &StepState| lend.result.as_ref().is_some_and(|done| done.adopted);
    let unseen = |copy: &StepState| copy.ended() && copy.intent.is_none() && copy.result.is_none();
    steps.get(&StepId::Lend(label.to_owned())).is_some_and(found)
        && steps.get(&StepId::Copy(label.to_owned())).is_some_and(unseen)
}

/// Whether a copy that is under way has this image lent.
pub(crate) fn is_wanted(shared: &Context, image: &Subject) -> bool {
    purposes(shared).iter().any(|purpose| purpose.image == *image)
}

/// What a lending step is about: as it was intended, or as it was found.
pub(crate) fn told(step: &StepState) -> Option<&Permitting> {
    match &step.intent {
        Some(intent) => intent.permitting(),
        None => step.permitted(),
    }
}

/// The image and the loan of a lending step.
pub(crate) fn read_loan(place: &Place, told: &Permitting) -> Option<(Subject, Loan)> {
    let loan = Loan {
        to: Place::new(told.account.clone()?, told.region.clone()?),
        role: told.role.clone()?,
        keys: told.keys.clone().unwrap_or_default(),
    };
    Some((place.subject(&told.image), loan))
}

/// What is wanted on `image` of `plan`: by `share` on it, by copies under way, and by `extra`, which is not journaled
/// yet. `keys` are those that the image is encrypted under.
pub(crate) fn wanted(
    shared: &Context,
    plan: &str,
    image: &Subject,
    keys: &BTreeSet<String>,
    share: Option<&Share>,
    extra: Option<&Loan>,
) -> Wanted {
    let mut wanted = Wanted::default();
    for key in keys {
        wanted.keys.entry(key.clone()).or_default();
    }
    let account = |id: &String| Grantee::Account(id.clone());
    if let Some(share) = share {
        wanted.launch.extend(share.grantees());
        if share.snapshots {
            wanted.volumes.extend(share.accounts.iter().map(account));
        }
    }
    wanted.share_keys(share, &image.place);
    let open = purposes(shared);
    for purpose in open.iter().filter(|p| p.plan == plan) {
        for key in &purpose.loan.keys {
            if let Some(who) = wanted.keys.get_mut(key) {
                who.insert(purpose.loan.role.clone());
            }
        }
    }
    let here = open.iter().filter(|p| p.image == *image).map(|p| &p.loan);
    for loan in here.chain(extra) {
        wanted.launch.insert(account(&loan.to.account));
        wanted.volumes.insert(account(&loan.to.account));
        for key in &loan.keys {
            wanted.keys.entry(key.clone()).or_default().insert(loan.role.clone());
        }
    }
    let owner = account(&image.place.account);
    wanted.launch.remove(&owner);
    wanted.volumes.remove(&owner);
    wanted
}

/// The image itself, unless it is gone.
pub(crate) async fn image(shared: &Context, image: &Subject) -> Read<Option<Image>> {
    let list = shared.cloud.images(&image.place, &ImageQuery::Ids(vec![image.id.clone()])).await?;
    Ok(list.into_iter().find(|i| i.state != ImageState::Deregistered))
}

/// The distance of `image` from what is `wanted` on it.
///
/// # Errors
/// Something could not be read: nothing is known.
pub(crate) async fn distance(
    shared: &Context,
    plan: &str,
    place: &Place,
    image: &Image,
    wanted: &Wanted,
) -> Read<Distance> {
    let snapshots = lookup::snapshots(&shared.cloud, place, image).await?;
    let mut distance = of_snapshots(shared, plan, place, snapshots, wanted).await?;
    let actual = shared.cloud.image_permissions(place, &image.id).await?;
    let told = taken_for_ours(&actual, shared.lent(&image.id, sharing::lent(&image.tags)));
    let gap = sharing::gap(&wanted.launch, &actual, told);
    let part = Part { id: image.id.clone(), snapshot: false, tags: (*image.tags).clone(), gap };
    distance.parts.push(part);
    Ok(distance)
}

/// The distance of what an image leaves behind that somebody deregistered: snapshots that nobody wants to be open, and
/// the keys.
///
/// # Errors
/// Something could not be read: nothing is known.
pub(crate) async fn left_behind(
    shared: &Context,
    plan: &str,
    place: &Place,
    snapshots: &[String],
    wanted: Wanted,
) -> Read<Distance> {
    let there = shared.cloud.snapshots(place, snapshots).await?;
    of_snapshots(shared, plan, place, there, &Wanted { keys: wanted.keys, ..Wanted::default() }).await
}

/// The grants of one key that nobody wants.
///
/// # Errors
/// They could not be listed.
pub(crate) async fn of_key(shared: &Context, plan: &str, key: &Subject, wanted: Wanted) -> Read<Distance> {
    Ok(of_snapshots(shared, plan, &key.place, Vec::new(), &wanted).await?.removing())
}

async fn of_snapshots(
    shared: &Context,
    plan: &str,
    place: &Place,
    snapshots: Vec<Snapshot>,
    wanted: &Wanted,
) -> Read<Distance> {
    let cloud = &shared.cloud;
    let mut parts = Vec::new();
    for snapshot in snapshots {
        let told = shared.lent(&snapshot.id, sharing::lent(&snapshot.tags));
        if wanted.volumes.is_empty() && told.is_empty() {
            continue; // nobody's business
        }
        let actual = cloud.snapshot_permissions(place, &snapshot.id).await?;
        let gap = sharing::gap(&wanted.volumes, &actual, taken_for_ours(&actual, told));
        parts.push(Part { id: snapshot.id, snapshot: true, tags: snapshot.tags, gap });
    }
    let (mut grant, mut revoke) = (Vec::new(), Vec::new());
    for (key, who) in &wanted.keys {
        let name = |grantee: &str| names::grant_name(&shared.daemon, plan, key, grantee);
        let listed = cloud.grants(place, key).await?;
        let ours: Vec<_> =
            shared.granted(key, listed).into_iter().filter(|g| g.name.as_ref() == Some(&name(&g.grantee))).collect();
        let missing: Vec<&String> = who.iter().filter(|who| !ours.iter().any(|g| g.grantee == **who)).collect();
        if !missing.is_empty() {
            // Where the policy allows it already no grant is needed; where it cannot be read, one does no harm.
            let text = cloud.key_policy(place, key).await.unwrap_or_default();
            for who in missing {
                let account = who.split(':').nth(4).unwrap_or_default();
                // An account launches, and Auto Scaling encrypts for it; a role only copies.
                let root = who.ends_with(":root");
                let needed = policy::operations(if root { &policy::LAUNCHING } else { &policy::COPYING });
                if !policy::policy_allows(&text, who, account, &needed) {
                    let operations = policy::operations(if root { &policy::LAUNCHING } else { &policy::GRANTED });
                    grant.push(CreateGrant { key: key.clone(), grantee: who.clone(), operations, name: name(who) });
                }
            }
        }
        revoke.extend(ours.into_iter().filter(|g| !who.contains(&g.grantee)).map(|g| (key.clone(), g.id)));
    }
    Ok(Distance { place: place.clone(), parts, grant, revoke })
}

/// Whom we have let in, as a careless engine takes it.
fn taken_for_ours(actual: &BTreeSet<Grantee>, mut told: BTreeSet<String>) -> BTreeSet<String> {
    if planted(Defect::ForeignTakenBack) {
        told.extend(actual.iter().map(|grantee| grantee.short().to_owned()));
    }
    told
}

/// The ends of an effect that are not Done.
macro_rules! done {
    ($effect:expr) => {
        match $effect {
            Effect::Done { .. } => {}
            // What is gone needs nothing any more.
            Effect::Refused(fault) if fault.class == Class::NotFound => {}
            Effect::Refused(fault) => return Effect::Refused(fault),
            Effect::Unknown(fault) => return Effect::Unknown(fault),
        }
    };
}

/// Closes the distance, one call after the other; each can be made twice. What is added is written down first.
pub(crate) async fn close(shared: &Context, distance: &Distance) -> Effect<()> {
    let (cloud, place) = (&shared.cloud, &distance.place);
    let open: Vec<&Part> = distance.parts.iter().filter(|part| !part.gap.is_closed()).collect();
    // All snapshots before the image when somebody is let in: who sees the image can copy it. Those that need the same
    // words get them in one call.
    let letting_in = open.iter().any(|part| !part.gap.add.is_empty());
    let mut said_in_part = distance.parts.iter().any(|part| part.tags.contains_key(sharing::LENT_IN_PART_TAG));
    let mut sorted = open.clone();
    sorted.sort_by_key(|part| part.snapshot == planted(Defect::ImageBeforeSnapshots));
    // The tags say what is lent for as long as anything is, grants too: they outlive a journal that is lost.
    if !planted(Defect::LentUntagged) {
        // By what is listed, too: the journal may tell of somebody whom the tags have never named, or name no more.
        let untold = |part: &Part| {
            let named = sharing::lent(&part.tags);
            part.gap.before != part.gap.told || part.gap.add.iter().any(|who| !named.contains(who.short()))
        };
        match write(shared, place, &sorted, |gap| &gap.before, untold).await {
            Effect::Refused(fault) if fault.class == Class::NotFound && !letting_in => {}
            Effect::Done { .. } => {}
            other => return other,
        }
        if letting_in {
            let is = said_in_part || in_part(distance, |gap| &gap.before);
            match note_in_part(shared, distance, said_in_part, is).await {
                Effect::Done { .. } => said_in_part = is,
                other => return other,
            }
        }
    }
    // What nobody wants goes first: a refusal to let somebody in keeps nobody else in. The image before its snapshots.
    for part in sorted.iter().rev() {
        if !part.gap.remove.is_empty() {
            done!(change(shared, place, part, Change::Remove(part.gap.remove.clone())).await);
        }
    }
    // Before the tags, which are what a later run goes by.
    for (key, grant) in distance.revoke.iter().filter(|_| !planted(Defect::GrantsForgotten)) {
        done!(cloud.revoke_grant(place, key, grant).await);
        shared.note_revoked(grant);
    }
    for request in &distance.grant {
        match cloud.create_grant(place, request).await {
            Effect::Done { value, .. } => shared.note_granted(granted(request, value)),
            Effect::Refused(fault) => return Effect::Refused(fault),
            Effect::Unknown(fault) => return Effect::Unknown(fault),
        }
    }
    for part in sorted.iter().filter(|part| !part.gap.add.is_empty()) {
        // It was listed: nobody is let in to what is not known for a moment.
        match change(shared, place, part, Change::Add(part.gap.add.clone())).await {
            Effect::Done { .. } => {}
            other => return other,
        }
    }
    done!(write(shared, place, &sorted, |gap| &gap.after, |part| part.gap.after != part.gap.before).await);
    done!(note_in_part(shared, distance, said_in_part, in_part(distance, |gap| &gap.after)).await);
    Effect::Done { value: (), request_id: None }
}

async fn change(shared: &Context, place: &Place, part: &Part, change: Change) -> Effect<()> {
    if part.snapshot {
        shared.cloud.change_snapshot_permissions(place, &part.id, &change).await
    } else {
        shared.cloud.change_image_permissions(place, &part.id, &change).await
    }
}

/// Whether somebody is let in to a snapshot of the image and, by us, not to the image itself.
fn in_part(distance: &Distance, words: impl Fn(&Gap) -> &BTreeSet<String>) -> bool {
    let image = distance.parts.iter().find(|part| !part.snapshot);
    let alone = |own| distance.parts.iter().any(|part| part.snapshot && !words(&part.gap).is_subset(own));
    image.is_some_and(|image| alone(words(&image.gap)))
}

/// Says so by a tag of the image: later runs go by the tags of images.
async fn note_in_part(shared: &Context, distance: &Distance, said: bool, is: bool) -> Effect<()> {
    let image = distance.parts.iter().find(|part| !part.snapshot).filter(|_| said != is);
    let Some(image) = image else { return Effect::Done { value: (), request_id: None } };
    let (ids, key) = (vec![image.id.clone()], sharing::LENT_IN_PART_TAG.to_owned());
    if is {
        shared.cloud.tag(&distance.place, &ids, &Tags::from([(key, "yes".to_owned())])).await
    } else {
        shared.cloud.untag(&distance.place, &ids, &[key]).await
    }
}

/// Writes whom we have let in into the tags of those parts that are to be written.
async fn write(
    shared: &Context,
    place: &Place,
    parts: &[&Part],
    words: impl Fn(&Gap) -> &BTreeSet<String>,
    differs: impl Fn(&Part) -> bool,
) -> Effect<()> {
    let mut tag: BTreeMap<Tags, Vec<String>> = BTreeMap::new();
    let mut untag: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for part in parts.iter().filter(|part| differs(part)) {
        let tags = sharing::lent_tags(words(&part.gap));
        // Those that were written before the change, too.
        let mut told = part.tags.clone();
        told.extend(sharing::lent_tags(&part.gap.before));
        let stale = sharing::stale_keys(&told, &tags);
        if !stale.is_empty() {
            untag.entry(stale).or_default().push(part.id.clone());
        }
        if !tags.is_empty() {
            tag.entry(tags).or_default().push(part.id.clone());
        }
    }
    for (tags, ids) in &tag {
        match shared.cloud.tag(place, ids, tags).await {
            Effect::Done { .. } => {}
            other => return other,
        }
    }
    for (keys, ids) in &untag {
        match shared.cloud.untag(place, ids, keys).await {
            Effect::Done { .. } => {}
            other => return other,
        }
    }
    // Not before: what was taken for written would never be written again.
    for part in parts.iter().filter(|part| differs(part)) {
        shared.note_lent(&part.id, words(&part.gap));
    }
    Effect::Done { value: (), request_id: None }
}
