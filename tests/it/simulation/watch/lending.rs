//! What the watch holds of copies, permissions and grants: each is judged as it is made, and what is left at rest.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use stillframe::cloud::port::{Change, CopyImage, CreateGrant, CreateImage};
use stillframe::domain::keep::Keep;
use stillframe::domain::place::Place;
use stillframe::domain::plan::{CopyTo, Plan, Share};
use stillframe::domain::sharing::{self, Grantee};
use stillframe::sim::World;
use stillframe::sim::calls::Call;
use stillframe::sim::image::SimImage;
use stillframe::sim::key::SimGrant;

use super::super::rig::{ACCOUNT, DAEMON};
use super::super::truth::{self, Key};
use super::{LOOKED, Watch};

/// AMI copies in progress per destination region (EC2 user guide, "Copy an AMI").
const COPIES_MAX: usize = 100;

/// What must be remembered to judge them.
#[derive(Default)]
pub(super) struct Lending {
    /// Whom we let in to an image or a snapshot, and did not let out again.
    given: RefCell<BTreeSet<(String, Grantee)>>,
    /// Whom a person let in.
    by_hand: RefCell<BTreeSet<(String, Grantee)>>,
    /// Things whose tags a person changed: they tell nothing for certain any more.
    edited: RefCell<BTreeSet<String>>,
    /// Where each image was meant to be copied to when it was made.
    meant: RefCell<BTreeMap<Key, BTreeSet<Place>>>,
    /// What was asked for under each token and by each installation.
    asked: RefCell<BTreeMap<(String, Option<String>), CopyImage>>,
    /// Plans that wanted a copy under another key to share, at some time; and plans and destinations that were taken
    /// away: nobody looks there any more.
    via: RefCell<BTreeSet<String>>,
    dropped: RefCell<BTreeSet<String>>,
    /// Of each grant that there was when the journal was lost, the images that told of it.
    tellers: RefCell<BTreeMap<String, BTreeSet<String>>>,
}

impl Lending {
    pub(super) fn edited(&self, ids: &[&String]) {
        self.edited.borrow_mut().extend(ids.iter().map(|id| (*id).clone()));
    }

    /// An image is made under this revision of its plan.
    pub(super) fn meant(&self, request: &CreateImage, plan: &Plan, own: &str) {
        let places = plan.copies.iter().map(|copy| copy.place(own)).collect();
        if let Some(key) = truth::parse(&request.name) {
            self.meant.borrow_mut().insert(key, places);
        }
    }

    /// These plans come into force after those.
    pub(super) fn in_force(&self, before: &BTreeMap<String, Plan>, after: &BTreeMap<String, Plan>) {
        let copies = |plan: &Plan, to: &Place| plan.copies.iter().any(|copy| copy.place(ACCOUNT) == *to);
        let goes_on = |plan: &&Plan| {
            let mut places = plan.copies.iter().map(|copy| copy.place(ACCOUNT));
            after.get(&plan.name).is_some_and(|new| places.all(|to| copies(new, &to)))
        };
        let dropped = before.values().filter(|plan| !goes_on(plan)).map(|plan| plan.name.clone());
        self.dropped.borrow_mut().extend(dropped);
        let shares = |plan: &&Plan| plan.share.as_ref().is_some_and(|share| share.via_key.is_some());
        self.via.borrow_mut().extend(after.values().filter(shares).map(|plan| plan.name.clone()));
    }
}

/// The rules by which an image of `plan` is kept: those of its destination, if it is a copy there.
pub(super) fn keep_of<'a>(world: &World, plan: &'a Plan, image: &SimImage) -> &'a Keep {
    let copied = image.source_image.is_some() && !truth::is_via(world, image);
    let there = |copy: &&CopyTo| copied && copy.place(ACCOUNT) == image.place;
    plan.copies.iter().find(there).map_or(&plan.keep, |copy| &copy.keep)
}

/// Who may use an image or a snapshot.
pub fn lent(world: &World, id: &str) -> BTreeSet<Grantee> {
    let snapshot = || world.snapshots.get(id).map(|s| s.lent.clone());
    world.images.get(id).map(|i| i.lent.clone()).or_else(snapshot).unwrap_or_default()
}

/// Whom we let in, as the tags of an image or a snapshot say.
fn told(world: &World, id: &str) -> BTreeSet<String> {
    let snapshot = || world.snapshots.get(id).map(|s| sharing::lent(&s.tags));
    world.images.get(id).map(|i| sharing::lent(&i.tags)).or_else(snapshot).unwrap_or_default()
}

/// The images that `id` is, or is a snapshot of.
fn of<'a>(world: &'a World, id: &str) -> Vec<&'a SimImage> {
    let all = world.images.values().map(|image| &**image).filter(|i| i.registered());
    all.filter(|i| i.id == id || i.snapshots().any(|s| s == id)).collect()
}

/// Copies of ours that are being made of `source`, and will be good.
fn being_made<'a>(world: &'a World, source: &'a str, watch: &Watch) -> impl Iterator<Item = &'a SimImage> {
    let now = watch.clock.now();
    let of_it = move |i: &&SimImage| i.registered() && i.ready > now && i.source_image.as_deref() == Some(source);
    let images = world.images.values().map(|image| &**image);
    images.filter(of_it).filter(|i| !i.fails && truth::our_copy(i).is_some())
}

impl Watch {
    /// CopyImage as it went over the wire: a key never without `Encrypted`, nor the other way round; tags in the call.
    pub(super) fn well_formed(&self, call: &Call) {
        if call.api != "CopyImage" {
            return;
        }
        let parameter = |name: &str| call.parameters.get(name).map(String::as_str);
        if (parameter("Encrypted") == Some("true")) != parameter("KmsKeyId").is_some() {
            self.breach(4, format!("CopyImage with {:?} and {:?}", parameter("Encrypted"), parameter("KmsKeyId")));
        }
        if parameter("CopyImageTags").is_some_and(|copies| copies != "false") {
            self.breach(3, "CopyImage with CopyImageTags: what it makes would bear the tags of its source".into());
        }
    }

    /// CopyImage is sent.
    pub fn copies(&self, request: &CopyImage) {
        let tag = |key: &str| request.tags.get(&format!("stillframe:{key}")).map(String::as_str);
        let key = request.name.rsplit_once('/').and_then(|(name, _)| truth::parse(name));
        if key.is_none() || tag("role") != Some("copy") || tag("source") != Some(&request.source_image) {
            self.breach(3, format!("what CopyImage {} makes could not be told to be ours", request.name));
        }
        let index = asked_by(request);
        let mut asked = self.lending.asked.borrow_mut();
        if asked.get(&index).is_some_and(|before| before != request) && !self.forgot() {
            self.breach(1, format!("CopyImage {} is sent again with other parameters", request.name));
        }
        asked.insert(index, request.clone());
    }

    /// CopyImage was answered: a later run may ask for something else under its token, and AWS tells that it differs.
    pub fn copy_answered(&self, request: &CopyImage) {
        self.lending.asked.borrow_mut().remove(&asked_by(request));
    }

    /// CopyImage made the newest image there.
    pub fn copied(&self, world: &World, place: &Place, request: &CopyImage) {
        self.figures.borrow_mut().copies += 1;
        let now = self.clock.now();
        let made = world.images.values().filter(|i| i.place == *place && i.registered() && i.name == request.name);
        let Some(copy) = made.max_by_key(|i| i.ready) else { return };
        let Some(key) = truth::our_copy(copy) else { return };
        let under = |i: &SimImage| i.snapshots().find_map(|id| world.snapshots.get(id)?.key.clone());
        let same = |i: &&SimImage| {
            let alike = i.id != copy.id && i.place == *place && truth::our_copy(i).as_ref() == Some(&key);
            alike && i.registered() && !i.fails && !i.disabled
        };
        let mut others = world.images.values().map(|i| &**i).filter(same);
        let via = truth::is_via(world, copy);
        if let Some(other) = others.find(|i| !via || under(i) == under(copy)) {
            self.breach(1, format!("{} is made in {place}, and {} is there: {}", copy.id, other.id, request.name));
        }
        let pending = world.images.values().filter(|i| i.place == *place && i.ready > now && i.source_image.is_some());
        if pending.count() > COPIES_MAX {
            self.breach(6, format!("more than {COPIES_MAX} copies are made in {place}"));
        }
    }

    /// Whether a copy in its source's own place was made only to be copied from.
    pub(super) fn temporary(&self, key: &Key) -> bool {
        let plans = self.plans.borrow();
        let shared = plans.get(&key.0).and_then(|plan| plan.share.as_ref()).is_some_and(|s| s.via_key.is_some());
        !shared || !self.settled()
    }

    /// An image goes: nothing is copied from it any more.
    pub(super) fn still_copied(&self, world: &World, image: &SimImage) {
        if let Some(copy) = being_made(world, &image.id, self).next() {
            self.breach(4, format!("{} is deregistered, and {} is copied from it", image.id, copy.id));
        }
    }

    /// A good image goes: no copy of it is wanted and missing.
    pub(super) fn owed(&self, world: &World, image: &SimImage, key: &Key, plan: &Plan) {
        if image.source_image.is_some() {
            return;
        }
        let now = self.clock.now();
        let meant = self.lending.meant.borrow().get(key).cloned().unwrap_or_default();
        for copy in &plan.copies {
            let to = copy.place(ACCOUNT);
            if to == image.place || !meant.contains(&to) {
                continue;
            }
            if self.touched_within(&format!("{}/{} in {to}", key.0, key.1), super::LISTED) {
                continue;
            }
            let there = world.images.values().filter(|i| i.place == to && truth::good(i, now));
            let there =
                there.filter_map(|i| truth::our_copy(i)).filter(|other| (&other.0, &other.1) == (&key.0, &key.1));
            let mut dues: BTreeSet<_> = there.map(|(_, _, due)| due).collect();
            if dues.contains(&key.2) {
                continue;
            }
            dues.extend(truth::good_beside(world, image, key, now));
            let newer = dues.range(key.2..).count();
            if newer < copy.keep.last.max(1) as usize {
                let what = format!("{} is deregistered, and its copy to {} is owed", image.id, copy.label());
                self.breach(3, what);
            }
        }
    }

    /// Whether the plan in force copies to there.
    fn goes_to(&self, plan: &str, place: &Place) -> bool {
        self.plans.borrow().get(plan).is_some_and(|p| p.copies.iter().any(|copy| copy.place(ACCOUNT) == *place))
    }

    /// Whether a person ever changed something about the copies of this series there.
    pub fn edited_in(&self, to: &Place, key: &Key) -> bool {
        self.touched.borrow().contains_key(&format!("{}/{} in {to}", key.0, key.1))
    }

    /// Whether the plan in force shares copies under another key, which are temporary else.
    fn shares_via(&self, plan: &str) -> bool {
        self.plans.borrow().get(plan).is_some_and(|p| p.share.as_ref().is_some_and(|share| share.via_key.is_some()))
    }

    /// Whether `[share]` of the plan in force wants this.
    fn wanted(&self, plan: &str, grantee: &Grantee, snapshot: bool) -> bool {
        let plans = self.plans.borrow();
        let Some(share) = plans.get(plan).and_then(|plan| plan.share.as_ref()) else { return false };
        match grantee {
            Grantee::Account(id) if snapshot => share.snapshots && share.accounts.contains(id),
            _ => !snapshot && share.grantees().contains(grantee),
        }
    }

    /// We changed who may use an image or a snapshot, which `before` might.
    pub fn permits(&self, world: &World, id: &str, before: &BTreeSet<Grantee>, change: &Change) {
        self.figures.borrow_mut().permissions += 1;
        let recently = self.touched_within(id, LOOKED);
        let told = told(world, id);
        let (mut add, mut remove) = (&BTreeSet::new(), &BTreeSet::new());
        match change {
            Change::Add(who) => add = who,
            Change::Remove(who) => remove = who,
        }
        for grantee in add {
            let entry = (id.to_owned(), grantee.clone());
            if !told.contains(grantee.short()) && !recently {
                self.breach(4, format!("{grantee} is let in to {id}, and no tag of it says that we did that"));
            }
            if !before.contains(grantee) {
                self.lending.by_hand.borrow_mut().remove(&entry);
                self.lending.given.borrow_mut().insert(entry);
            } else if recently {
                self.lending.by_hand.borrow_mut().remove(&entry); // both at once: nobody can tell
            }
            if let Some(image) = world.images.get(id) {
                self.snapshots_first(world, image, grantee);
            }
        }
        for grantee in remove.iter().filter(|grantee| before.contains(grantee)) {
            let entry = (id.to_owned(), grantee.clone());
            self.lending.given.borrow_mut().remove(&entry);
            // Whoever writes our tag says that we have let them in.
            let told = self.lending.edited.borrow().contains(id);
            if self.lending.by_hand.borrow_mut().remove(&entry) && !told {
                self.breach(3, format!("{grantee} is shut out of {id}, and a person had let it in"));
            }
            for image in of(world, id).into_iter().filter(|_| !recently) {
                let Some(key) = truth::of_us(image) else { continue };
                let temporary = truth::is_via(world, image) && !self.shares_via(&key.0);
                if self.wanted(&key.0, grantee, image.id != id) && self.settled() && !temporary {
                    self.breach(4, format!("{grantee} is shut out of {id}, and [share] of {} names it", key.0));
                }
                let there = |copy: &&SimImage| {
                    grantee.account() == Some(copy.place.account.as_str()) && self.goes_to(&key.0, &copy.place)
                };
                if let Some(copy) = being_made(world, &image.id, self).find(there).filter(|_| !self.forgot()) {
                    self.breach(4, format!("{grantee} is shut out of {id}, and {} is copied from it", copy.id));
                }
            }
        }
    }

    /// Who is let in to an image and may copy it finds all of its snapshots open.
    fn snapshots_first(&self, world: &World, image: &SimImage, grantee: &Grantee) {
        let (Grantee::Account(account), Some(key)) = (grantee, truth::of_us(image)) else { return };
        let plans = self.plans.borrow();
        let named = |plan: &Plan| plan.share.as_ref().is_some_and(|s| s.accounts.contains(account));
        let shares = |plan: &Plan| named(plan) && plan.share.as_ref().is_some_and(|s| s.snapshots);
        // Who may launch it anyway is let in to the snapshots later, when it copies.
        let copies = |plan: &Plan| {
            let there = plan.copies.iter().any(|c| c.account.as_ref().is_some_and(|a| a.id == *account));
            there && image.place.account == ACCOUNT && !named(plan)
        };
        if !self.settled() || !plans.get(&key.0).is_some_and(|plan| copies(plan) || shares(plan)) {
            return;
        }
        let closed = |id: &&str| {
            let shut = world.snapshots.get(*id).is_some_and(|s| !s.lent.contains(grantee));
            shut && !self.touched_within(id, LOOKED)
        };
        if let Some(snapshot) = image.snapshots().find(closed) {
            drop(plans);
            self.breach(4, format!("{grantee} is let in to {}, and its {snapshot} is not open yet", image.id));
        }
    }

    /// A person changed who may use an image or a snapshot.
    pub fn person_permits(&self, world: &World, id: &str, before: &BTreeSet<Grantee>) {
        self.touch(id);
        of(world, id).iter().for_each(|image| self.touch(&image.id));
        let (after, told) = (lent(world, id), told(world, id));
        let mut by_hand = self.lending.by_hand.borrow_mut();
        let mut given = self.lending.given.borrow_mut();
        // Where the tag says that it was us, nobody could tell any more that it was a person.
        by_hand
            .extend(after.difference(before).filter(|g| !told.contains(g.short())).map(|g| (id.to_owned(), g.clone())));
        for gone in before.difference(&after) {
            let entry = (id.to_owned(), gone.clone());
            by_hand.remove(&entry);
            given.remove(&entry);
        }
    }

    /// We made a grant.
    pub fn grants(&self, request: &CreateGrant) {
        self.figures.borrow_mut().grants += 1;
        if !ours(Some(&request.name)) {
            self.breach(4, format!("the grant {} could not be told to be ours", request.name));
        }
    }

    /// A grant is about to be revoked.
    pub fn revokes(&self, world: &World, key: &str, grant: &str) {
        let Some(key) = world.keys.get(key) else { return };
        let Some(grant) = key.grants.iter().find(|g| g.id == grant) else { return };
        if !ours(grant.name.as_deref()) {
            self.breach(3, format!("the grant {:?} of {} is revoked, and it is not ours", grant.name, key.arn));
        }
        // Another plan may have granted the same, and a grant to the whole account serves its role too.
        let account = grant.grantee.split(':').nth(4);
        if key.grants.iter().any(|g| g.id != grant.id && g.grantee.split(':').nth(4) == account) {
            return;
        }
        let reads = |i: &SimImage| {
            i.snapshots().any(|s| world.snapshots.get(s).is_some_and(|s| s.key.as_ref() == Some(&key.arn)))
        };
        // A journal that forgot what it had written, or that is lost with the source, tells of no copy.
        let lost = self.figures.borrow().losses > 0;
        let known = |i: &SimImage| !self.forgot() && (i.registered() || !lost);
        for source in world.images.values().filter(|i| reads(i) && known(i)) {
            let there = |copy: &&SimImage| {
                let plan = truth::our_copy(copy).map(|key| key.0).unwrap_or_default();
                grant.grantee.contains(&format!(":{}:", copy.place.account)) && self.goes_to(&plan, &copy.place)
            };
            if let Some(copy) = being_made(world, &source.id, self).find(there) {
                self.breach(4, format!("{} may use {} no more, and {} is made by it", grant.grantee, key.arn, copy.id));
            }
        }
    }

    /// The journal is gone: which images tell of each grant that there is.
    pub fn loses(&self, world: &World) {
        let edited = self.lending.edited.borrow();
        let mut tellers = self.lending.tellers.borrow_mut();
        for key in world.keys.values() {
            for grant in key.grants.iter().filter(|grant| ours(grant.name.as_deref())) {
                let under = |id: &str| world.snapshots.get(id).is_some_and(|s| s.key.as_ref() == Some(&key.arn));
                let tells = |image: &SimImage| {
                    let known = image.registered() && truth::of_us(image).is_some() && !edited.contains(&image.id);
                    let mut parts = std::iter::once(image.id.as_str()).chain(image.snapshots());
                    let names = |id: &str| told(world, id).iter().any(|who| grant.grantee.contains(who.as_str()));
                    known && image.snapshots().any(under) && parts.any(names)
                };
                let of_it = world.images.values().filter(|image| tells(image)).map(|image| image.id.clone());
                tellers.insert(grant.id.clone(), of_it.collect());
            }
        }
    }

    /// What is lent at rest for no purpose: by permission, by tag, by grant; and images made only to be copied from.
    pub fn left(&self, world: &World) -> Vec<String> {
        let mut left = Vec::new();
        let edited = self.lending.edited.borrow();
        for image in world.images.values().filter(|i| i.registered() && !i.fails && !i.disabled) {
            let Some(key) = truth::of_us(image).filter(|_| !edited.contains(&image.id)) else { continue };
            let Some(plan) = self.plans.borrow().get(&key.0).cloned() else { continue };
            let in_place = |copy: &CopyTo| copy.place(ACCOUNT) == image.place;
            let listed = plan.copies.iter().any(in_place)
                || image.place.account == ACCOUNT && plan.select.regions.contains(&image.place.region);
            if !listed {
                continue; // where the plan looks no more
            }
            // Whose source is not known as ours any more may be the last of its recovery point.
            let lost = self.figures.borrow().losses > 0;
            let by_hand = |source: &String| {
                let gone = world.images.get(source).is_none_or(|i| !i.registered());
                edited.contains(source) || lost && gone && !self.removed.borrow().contains(source)
            };
            // What is let in to whom `[share]` names may be there for it: after a loss nobody can tell.
            let share = |share: &Share| share.grantees().iter().all(|who| told(world, &image.id).contains(who.short()));
            let shared = lost && plan.share.as_ref().is_some_and(share);
            let known = !shared && !image.source_image.as_ref().is_some_and(by_hand);
            if truth::is_via(world, image) && known && !self.lending.via.borrow().contains(&key.0) {
                left.push(format!("{} was made only to be copied from ({})", image.id, image.name));
            }
            for id in std::iter::once(image.id.as_str()).chain(image.snapshots()).filter(|id| !edited.contains(*id)) {
                let snapshot = id != image.id;
                let wanted = |g: &Grantee| self.wanted(&key.0, g, snapshot);
                let given = self.lending.given.borrow();
                let lent = lent(world, id);
                let ours = lent.iter().filter(|g| given.contains(&(id.to_owned(), (*g).clone())));
                left.extend(ours.filter(|g| !wanted(g)).map(|g| format!("{g} may use {id}")));
                let share = plan.share.as_ref().map(|share| share.grantees()).unwrap_or_default();
                let named = |word: &String| share.iter().any(|g| g.short() == word && wanted(g));
                let words = told(world, id);
                left.extend(words.iter().filter(|w| !named(w)).map(|w| format!("the tag of {id} names {w}")));
            }
        }
        let plans = self.plans.borrow();
        let shared = |grantee: &str| {
            let mut accounts = plans.values().filter_map(|p| p.share.as_ref()).flat_map(|s| &s.accounts);
            accounts.any(|id| grantee.ends_with(&format!(":{id}:root")))
        };
        // Of a plan that is gone nobody takes anything back.
        if self.lending.dropped.borrow().is_empty() {
            // After a loss only images tell which keys were lent: not where a person has edited, or removed, all that did.
            let tellers = self.lending.tellers.borrow();
            let by_hand = |id: &String| {
                let gone = world.images.get(id).is_none_or(|image| !image.registered());
                edited.contains(id) || gone && !self.removed.borrow().contains(id)
            };
            let told = |grant: &SimGrant| tellers.get(&grant.id).is_none_or(|of_it| !of_it.iter().all(by_hand));
            for key in world.keys.values() {
                let of_us = key.grants.iter().filter(|g| ours(g.name.as_deref()) && !shared(&g.grantee));
                let grants = of_us.filter(|grant| told(grant));
                left.extend(grants.map(|g| format!("{} may use {}", g.grantee, key.arn)));
            }
        }
        left
    }
}

/// Under which token, and by whom: an installation that lost its state knows nothing of what was sent.
fn asked_by(request: &CopyImage) -> (String, Option<String>) {
    (request.client_token.clone(), request.tags.get("stillframe:installation").cloned())
}

/// Whether a grant's name is one of ours.
fn ours(name: Option<&str>) -> bool {
    name.is_some_and(|name| name.starts_with(&format!("stillframe-{DAEMON}-")))
}
