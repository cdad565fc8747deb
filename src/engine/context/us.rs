//! Who we are, for those who look for others of our name.

use chrono::{DateTime, Utc};

use crate::domain::naming::{Marks, Role};
use crate::domain::observed::Image;

/// Which installation asks whether another one works under its daemon name.
#[derive(Debug, Clone, Copy)]
pub struct Us<'a> {
    /// The daemon's name.
    pub daemon: &'a str,
    /// The installation's id; empty if it is not known.
    pub installation: &'a str,
    /// Images of other installations are no alarm up to then.
    pub taken_over_at: Option<DateTime<Utc>>,
}

impl Us<'_> {
    /// Why a copy is not ours although all its tags fit, if so: two installations of one name may copy into one account.
    /// What was there before a person took over is ours.
    #[must_use]
    pub fn disowns(&self, image: &Image, marks: &Marks) -> Option<String> {
        let ours = marks.role == Role::Image
            || self.installation.is_empty()
            || marks.installation == self.installation
            || self.taken_over_at.is_some_and(|at| image.created.is_some_and(|created| created <= at));
        let by = &marks.installation;
        (!ours).then(|| format!("was copied by another installation ({by}) under the daemon name `{}`", self.daemon))
    }
}
