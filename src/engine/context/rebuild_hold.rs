//! What may not be decided while a lost journal is rebuilt.

use std::collections::BTreeMap;

/// What may not be decided yet.
#[derive(Debug, Default)]
pub struct Unproven {
    /// Why no plan may begin anything: who is down may not be known yet.
    pub(crate) all: Option<String>,
    /// Why one plan may not.
    pub(crate) plans: BTreeMap<String, String>,
    /// Whether a rebuild goes on.
    pub(crate) rebuilding: bool,
}

impl Unproven {
    /// Why `plan` may begin nothing yet.
    #[must_use]
    pub fn holds(&self, plan: &str) -> Option<String> {
        self.all.clone().or_else(|| self.plans.get(plan).cloned())
    }

    /// Whether no plan may begin anything.
    #[must_use]
    pub fn holds_all(&self) -> bool {
        self.all.is_some()
    }

    /// A reload has added `plan`: while a rebuild goes on, it waits for its own.
    pub(crate) fn added(&mut self, plan: &str) {
        if self.rebuilding {
            let why = "the journal is being rebuilt from the tags of the images in AWS";
            self.plans.insert(plan.to_owned(), why.to_owned());
        }
    }
}
