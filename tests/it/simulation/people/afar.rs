//! What people do to copies, and to who may use images and snapshots.

use stillframe::domain::sharing::{Grantee, LENT_TAG};
use stillframe::sim::action::Action;
use stillframe::sim::image::SimImage;

use super::super::copies::{DR, FRIEND};
use super::super::rig::Rig;
use super::super::truth;
use super::{Act, Deed};

/// Whom nobody's plan names.
const STRANGER: &str = "444444444444";

/// All of them, with their names in the figures.
pub const ACTS_AFAR: [(Act, &str); 7] = [
    (Act::Share, "share an image or its snapshots by hand"),
    (Act::Unshare, "take a permission away"),
    (Act::EditLent, "edit the tag of what is lent"),
    (Act::HoldCopy, "hold a copy"),
    (Act::ReleaseCopy, "release the hold of a copy"),
    (Act::DestroyCopy, "delete a copy"),
    (Act::UntagCopy, "remove a tag of a copy"),
];

impl Deed {
    /// One of those above, if the world let it happen.
    pub(super) fn carry_out_afar(self, rig: &Rig) -> bool {
        let now = rig.clock.now();
        let about_copies = matches!(self.act, Act::HoldCopy | Act::ReleaseCopy | Act::DestroyCopy | Act::UntagCopy);
        let found = {
            let world = rig.world();
            let fits = |i: &SimImage| {
                let ours = if about_copies { truth::copied_by_us(i) } else { truth::of_us(i) };
                i.registered() && i.visible(now) && ours.is_some()
            };
            let there: Vec<_> = world.images.values().filter(|i| fits(i)).collect();
            let nth = self.nth.checked_rem(there.len()).unwrap_or(0);
            there.get(nth).map(|i| (*i).clone())
        };
        let Some(image) = found else { return false };
        rig.watch.note(|| format!("person: {} {} ({})", self.name(), image.id, image.name));
        let id = image.id.clone();
        let put = |key: &str, value: &str| Action::CreateTags {
            resources: vec![id.clone()],
            tags: vec![(key.to_owned(), value.to_owned())],
        };
        let drop = |key: &str| Action::DeleteTags { resources: vec![id.clone()], tags: vec![(key.to_owned(), None)] };
        let action = match self.act {
            Act::Share => {
                let who = [STRANGER, DR, FRIEND][self.nth % 3];
                permission(&image, self.nth / 3, vec![Grantee::Account(who.into())], Vec::new())
            }
            Act::Unshare => {
                let world = rig.world();
                let part = part(&image, self.nth / 3);
                let snapshot = world.snapshots.get(part).map(|s| &s.lent);
                let Some(who) = snapshot.unwrap_or(&image.lent).first().cloned() else { return false };
                permission(&image, self.nth / 3, Vec::new(), vec![who])
            }
            Act::EditLent if self.nth.is_multiple_of(2) => put(LENT_TAG, STRANGER),
            Act::EditLent => drop(LENT_TAG),
            Act::HoldCopy => put("stillframe:hold", "mine"),
            Act::ReleaseCopy => drop("stillframe:hold"),
            Act::UntagCopy => drop(["stillframe:run", "stillframe:source", "Name"][self.nth % 3]),
            _ => Action::DeregisterImage { image: id.clone(), delete_snapshots: Some(true) },
        };
        rig.act_as(&image.place, &action).is_ok()
    }
}

/// The image itself, or one of its snapshots.
fn part(image: &SimImage, nth: usize) -> &str {
    let parts: Vec<&str> = std::iter::once(image.id.as_str()).chain(image.snapshots()).collect();
    parts[nth % parts.len()]
}

fn permission(image: &SimImage, nth: usize, add: Vec<Grantee>, remove: Vec<Grantee>) -> Action {
    match part(image, nth).to_owned() {
        id if id == image.id => Action::ModifyImageAttribute { image: id, add, remove },
        id => Action::ModifySnapshotAttribute { snapshot: id, add, remove },
    }
}
