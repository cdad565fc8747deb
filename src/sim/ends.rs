//! The ends of images and snapshots: DeregisterImage and DeleteSnapshot.

use chrono::{DateTime, Utc};

use super::answer::Answer;
use super::error::ApiError;
use super::rules;
use super::world::World;
use crate::domain::place::Place;

impl World {
    pub(super) fn deregister_image(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        id: &str,
        delete_snapshots: bool,
    ) -> Result<Answer, ApiError> {
        rules::id("ami", id, "InvalidAMIID.Malformed")?;
        let forgotten = now + self.span(self.visibility_lag);
        // What was just made may not be known yet (EC2 guide, "Eventual consistency"), here as in the lists.
        let image = self.images.get_mut(id).filter(|i| i.place == *place && i.visible <= now);
        let image = image.ok_or_else(|| ApiError::no_image(&[id]))?;
        if !image.registered() {
            return Err(ApiError::image_unavailable(id));
        }
        image.deregistered = Some(now);
        // "Recently deregistered images appear in the returned results for a short interval" (DescribeImages).
        image.forgotten = Some(forgotten);
        if let Some(leaving) = &mut self.leaving {
            leaving.push_back((forgotten, id.to_owned()));
        }
        let snapshots: Vec<String> = image.snapshots().map(str::to_owned).collect();
        let mut results = Vec::new();
        for id_of in snapshots {
            let Some(snapshot) = self.snapshots.get_mut(&id_of) else { continue };
            snapshot.users.remove(id);
            if delete_snapshots {
                // API reference, DeregisterImage: a snapshot "associated with multiple AMIs" is skipped.
                let free = snapshot.users.is_empty();
                if free {
                    self.snapshots.remove(&id_of);
                }
                results.push((id_of, if free { "success" } else { "skipped" }));
            }
        }
        Ok(Answer::Deregistered(results))
    }

    /// "You cannot delete a snapshot of the root device of an EBS volume used by a registered AMI" (API reference);
    /// in fact of any of its volumes.
    pub(super) fn delete_snapshot(&mut self, now: DateTime<Utc>, place: &Place, id: &str) -> Result<Answer, ApiError> {
        rules::id("snap", id, "InvalidSnapshotID.Malformed")?;
        let snapshot = self.snapshots.get(id).filter(|s| s.place == *place && s.visible <= now);
        let snapshot = snapshot.ok_or_else(|| ApiError::no_snapshot(id))?;
        if let Some(user) = snapshot.users.first() {
            return Err(ApiError::client(
                "InvalidSnapshot.InUse",
                format!("The snapshot {id} is currently in use by {user}"),
            ));
        }
        self.snapshots.remove(id);
        Ok(Answer::Done)
    }
}
