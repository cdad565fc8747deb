//! What the steps of copying and sharing know of each other beside the journal: who takes turns, which purposes are just
//! being opened, and what was written so lately that AWS may not show it yet.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tokio::sync::{Mutex, Semaphore};

use super::access::{Loan, Purpose};
use super::shared::Shared;
use crate::domain::place::{Place, Subject};

/// AMI copies in progress per destination region (EC2 user guide, "Copy an AMI": 100). Half of them is ours, as of
/// everything that is shared with others of the account.
const COPIES: usize = 50;

/// See the module.
#[derive(Default)]
pub struct Lending {
    roles: RefCell<BTreeMap<String, String>>,
    copies: RefCell<BTreeMap<Place, Rc<Semaphore>>>,
    locks: RefCell<BTreeMap<String, Rc<Mutex<()>>>>,
    opening: RefCell<Vec<Rc<Purpose>>>,
    lent: RefCell<BTreeMap<String, BTreeSet<String>>>,
    revoked: RefCell<BTreeSet<String>>,
}

/// A purpose that is open for as long as this lives.
pub struct Opening<'a> {
    shared: &'a Shared,
    purpose: Rc<Purpose>,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.shared.lending.opening.borrow_mut().retain(|open| !Rc::ptr_eq(open, &self.purpose));
    }
}

impl Shared {
    /// The roles of other accounts: account and ARN of each.
    pub fn set_roles(&self, roles: impl IntoIterator<Item = (String, String)>) {
        *self.lending.roles.borrow_mut() = roles.into_iter().collect();
    }

    /// The ARN of the role that is assumed in `account`.
    #[must_use]
    pub fn role_of(&self, account: &str) -> Option<String> {
        self.lending.roles.borrow().get(account).cloned()
    }

    /// Who copies to a place just now.
    pub(super) fn copies(&self, place: &Place) -> Rc<Semaphore> {
        let mut copies = self.lending.copies.borrow_mut();
        Rc::clone(copies.entry(place.clone()).or_insert_with(|| Rc::new(Semaphore::new(COPIES))))
    }

    /// The lock of this name. Those that nobody holds are forgotten.
    pub(super) fn lock_of(&self, name: &str) -> Rc<Mutex<()>> {
        let mut locks = self.lending.locks.borrow_mut();
        locks.retain(|_, lock| Rc::strong_count(lock) > 1);
        Rc::clone(locks.entry(name.to_owned()).or_default())
    }

    /// A purpose that is about to be journaled.
    pub(super) fn open_purpose(&self, plan: &str, image: &Subject, loan: &Loan) -> Opening<'_> {
        let purpose = Rc::new(Purpose { plan: plan.to_owned(), image: image.clone(), loan: loan.clone() });
        self.lending.opening.borrow_mut().push(Rc::clone(&purpose));
        Opening { shared: self, purpose }
    }

    /// The purposes that are about to be journaled.
    pub(super) fn open_purposes(&self) -> Vec<Purpose> {
        self.lending.opening.borrow().iter().map(|purpose| (**purpose).clone()).collect()
    }

    /// Whom we have let in to an image or a snapshot: as its tag says, and as was written to it lately.
    pub(super) fn lent(&self, id: &str, mut told: BTreeSet<String>) -> BTreeSet<String> {
        told.extend(self.lending.lent.borrow().get(id).into_iter().flatten().cloned());
        told
    }

    /// That the tag of an image or a snapshot is being written.
    pub(super) fn note_lent(&self, id: &str, words: &BTreeSet<String>) {
        let mut lent = self.lending.lent.borrow_mut();
        if words.is_empty() {
            lent.remove(id)
        } else {
            lent.insert(id.to_owned(), words.clone())
        };
    }

    /// Whether a grant was revoked: KMS may list it for a while.
    pub(super) fn was_revoked(&self, grant: &str) -> bool {
        self.lending.revoked.borrow().contains(grant)
    }

    /// That a grant was revoked.
    pub(super) fn note_revoked(&self, grant: &str) {
        self.lending.revoked.borrow_mut().insert(grant.to_owned());
    }
}
