//! CreateTags and DeleteTags: all resources of the call, or none. What was just made may not be known yet (EC2 guide,
//! "Eventual consistency").

use chrono::{DateTime, Utc};

use super::answer::Answer;
use super::error::ApiError;
use super::rules;
use super::world::World;
use crate::domain::naming::TAGS_MAX;
use crate::domain::observed::Tags;
use crate::domain::place::Place;

impl World {
    pub(super) fn create_tags(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        resources: &[String],
        tags: &[(String, String)],
    ) -> Result<Answer, ApiError> {
        for (key, value) in tags {
            rules::tag(key, value)?;
        }
        let mut merged = Vec::new();
        for id in resources {
            let mut all = self.tags_of(now, place, id)?.clone();
            all.extend(tags.iter().cloned());
            if all.len() > TAGS_MAX {
                return Err(rules::too_many_tags());
            }
            merged.push((id, all));
        }
        for (id, all) in merged {
            *self.tags_of(now, place, id)? = all;
        }
        Ok(Answer::Done)
    }

    pub(super) fn delete_tags(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        resources: &[String],
        tags: &[(String, Option<String>)],
    ) -> Result<Answer, ApiError> {
        for id in resources {
            self.tags_of(now, place, id)?;
        }
        for id in resources {
            let held = self.tags_of(now, place, id)?;
            if tags.is_empty() {
                // API reference: without tags "all user-defined tags for the specified resources" go.
                held.clear();
            }
            for (key, value) in tags {
                if value.as_ref().is_none_or(|v| held.get(key) == Some(v)) {
                    held.remove(key);
                }
            }
        }
        Ok(Answer::Done)
    }

    fn tags_of(&mut self, now: DateTime<Utc>, place: &Place, id: &str) -> Result<&mut Tags, ApiError> {
        match id.split('-').next() {
            Some("i") => {
                let found = self.instances.get_mut(id).filter(|i| i.place == *place);
                found.map(|i| &mut i.tags).ok_or_else(|| ApiError::no_instance(&[id]))
            }
            Some("ami") => {
                let found = self.images.get_mut(id).filter(|i| i.place == *place && i.registered() && i.visible <= now);
                found.map(|i| &mut *i.tags).ok_or_else(|| ApiError::no_image(&[id]))
            }
            Some("snap") => {
                let found = self.snapshots.get_mut(id).filter(|s| s.place == *place && s.visible <= now);
                found.map(|s| &mut s.tags).ok_or_else(|| ApiError::no_snapshot(id))
            }
            Some("vol") => {
                let found = self.volumes.get_mut(id).filter(|v| v.place == *place);
                found.map(|v| &mut v.tags).ok_or_else(|| ApiError::no_volume(id))
            }
            _ => Err(ApiError::client("InvalidID", format!("The ID '{id}' is not valid"))),
        }
    }
}
