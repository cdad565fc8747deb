//! What the steps of copying and sharing know of each other beside the journal: who takes turns, which purposes are just
//! being opened, and what was written so lately that AWS may not show it yet.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use crate::cloud::port::{CreateGrant, Grant};
use crate::domain::fact::Granted;
use crate::domain::place::{Place, Subject};
use crate::engine::context::Context;
use crate::engine::distribution::key_grants::Ledger;
use crate::engine::distribution::permissions::{Loan, Purpose};

/// AMI copies in progress per destination region (EC2 user guide, "Copy an AMI": 100). Half of them is ours, as of
/// everything that is shared with others of the account.
const COPIES: usize = 50;

/// A grant that is not listed for so long after it was made is not there any more.
pub(crate) const LISTED_WITHIN: Duration = Duration::from_secs(900);

/// See the module.
#[derive(Default)]
pub struct Lending {
    copies: RefCell<BTreeMap<Place, Arc<Semaphore>>>,
    locks: RefCell<BTreeMap<String, Rc<Mutex<()>>>>,
    opening: RefCell<Vec<Rc<Purpose>>>,
    lent: RefCell<BTreeMap<String, BTreeSet<String>>>,
    granted: RefCell<Vec<(Instant, Granted)>>,
    revoked: RefCell<BTreeSet<String>>,
    pub(crate) ledger: RefCell<Option<Ledger>>,
}

/// A grant that was made as it was asked for.
pub(crate) fn granted(request: &CreateGrant, id: String) -> Granted {
    Granted { key: request.key.clone(), id, name: request.name.clone(), grantee: request.grantee.clone() }
}

/// A purpose that is open for as long as this lives.
pub struct Opening<'a> {
    shared: &'a Context,
    purpose: Rc<Purpose>,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.shared.of::<Lending>().opening.borrow_mut().retain(|open| !Rc::ptr_eq(open, &self.purpose));
    }
}

impl Context {
    /// Who copies to a place just now.
    pub(crate) fn copies(&self, place: &Place) -> Arc<Semaphore> {
        let lending = self.of::<Lending>();
        let mut copies = lending.copies.borrow_mut();
        Arc::clone(copies.entry(place.clone()).or_insert_with(|| Arc::new(Semaphore::new(COPIES))))
    }

    /// The lock of this name. Those that nobody holds are forgotten.
    pub(crate) fn lock_of(&self, name: &str) -> Rc<Mutex<()>> {
        let lending = self.of::<Lending>();
        let mut locks = lending.locks.borrow_mut();
        locks.retain(|_, lock| Rc::strong_count(lock) > 1);
        Rc::clone(locks.entry(name.to_owned()).or_default())
    }

    /// A purpose that is about to be journaled.
    pub(crate) fn open_purpose(&self, plan: &str, image: &Subject, loan: &Loan) -> Opening<'_> {
        let purpose = Rc::new(Purpose { plan: plan.to_owned(), image: image.clone(), loan: loan.clone() });
        self.of::<Lending>().opening.borrow_mut().push(Rc::clone(&purpose));
        Opening { shared: self, purpose }
    }

    /// The purposes that are about to be journaled.
    pub(crate) fn open_purposes(&self) -> Vec<Purpose> {
        self.of::<Lending>().opening.borrow().iter().map(|purpose| (**purpose).clone()).collect()
    }

    /// Whom we have let in to an image or a snapshot: as its tag says, and as was written to it lately.
    pub(crate) fn lent(&self, id: &str, mut told: BTreeSet<String>) -> BTreeSet<String> {
        told.extend(self.of::<Lending>().lent.borrow().get(id).into_iter().flatten().cloned());
        told
    }

    /// That somebody was let in to an image or a snapshot, as the journal says.
    pub(crate) fn note_lent_too(&self, id: &str, account: &str) {
        self.of::<Lending>().lent.borrow_mut().entry(id.to_owned()).or_default().insert(account.to_owned());
    }

    /// That the tag of an image or a snapshot was written.
    pub(crate) fn note_lent(&self, id: &str, words: &BTreeSet<String>) {
        let lending = self.of::<Lending>();
        let mut lent = lending.lent.borrow_mut();
        if words.is_empty() {
            lent.remove(id)
        } else {
            lent.insert(id.to_owned(), words.clone())
        };
    }

    /// The grants of a key: those that are listed and were not revoked since, and those that were made since.
    pub(crate) fn granted(&self, key: &str, mut listed: Vec<Grant>) -> Vec<Grant> {
        let lending = self.of::<Lending>();
        let revoked = lending.revoked.borrow();
        listed.retain(|grant| !revoked.contains(&grant.id));
        for made in self.fresh_grants().filter(|made| made.key == key) {
            if !listed.iter().any(|grant| grant.id == made.id) {
                let Granted { id, name, grantee, .. } = made;
                listed.push(Grant { id, name: Some(name), grantee, operations: BTreeSet::new() });
            }
        }
        listed
    }

    /// The grants by which `grantee` may use any of `keys`, as far as we have made them and they may not be listed yet.
    pub(crate) fn granted_to(&self, grantee: &str, keys: &BTreeSet<String>) -> Vec<Granted> {
        self.fresh_grants().filter(|made| made.grantee == grantee && keys.contains(&made.key)).collect()
    }

    fn fresh_grants(&self) -> impl Iterator<Item = Granted> {
        let since = self.clock.instant().checked_sub(LISTED_WITHIN);
        let granted = self.of::<Lending>().granted.borrow().clone();
        granted.into_iter().filter(move |(at, _)| since.is_none_or(|since| *at >= since)).map(|(_, made)| made)
    }

    /// That a grant was made.
    pub(crate) fn note_granted(&self, made: Granted) {
        let lending = self.of::<Lending>();
        let mut granted = lending.granted.borrow_mut();
        if !self.of::<Lending>().revoked.borrow().contains(&made.id) {
            granted.retain(|(_, known)| known.id != made.id);
            granted.push((self.clock.instant(), made));
        }
    }

    /// That a grant was revoked.
    pub(crate) fn note_revoked(&self, grant: &str) {
        self.of::<Lending>().granted.borrow_mut().retain(|(_, made)| made.id != grant);
        self.of::<Lending>().revoked.borrow_mut().insert(grant.to_owned());
    }
}
