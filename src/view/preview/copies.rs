//! What a run would do about copies: the verdict on each, which older images it would copy too, and what would be in the
//! destinations afterwards.

use chrono::{DateTime, Utc};

use crate::cloud::governed::Governed;
use crate::cloud::port::Read;
use crate::domain::copying::{self, ShareVerdict, Verdict, Way};
use crate::domain::naming::{Marks, Role, parse_rfc3339, rfc3339};
use crate::domain::place::Place;
use crate::domain::plan::{CopyTo, Plan, Share};
use crate::domain::retention::{Candidate, Listing, Series, to_come};
use crate::domain::sharing;
use crate::engine::distribution::lookup::Facts;
use crate::engine::distribution::preflight::Foreseen;
use crate::engine::distribution::{self, Books, Owing};
use crate::view::active_runs::ActiveRuns;
use crate::view::preview::{DestinationPreview, DistributionPreview, OwedPreview, PlanPreview};

/// A destination of the plan.
pub(super) struct Leg<'a> {
    /// What the plan says.
    pub copy: &'a CopyTo,
    /// Where it is.
    pub to: Place,
    /// Why nothing can be made there now.
    pub barred: Option<String>,
}

/// The destinations of a plan of the account `own`.
pub(super) async fn legs<'a>(cloud: &Governed, plan: &'a Plan, own: &str) -> Vec<Leg<'a>> {
    let mut legs = Vec::new();
    for copy in &plan.copies {
        let to = copy.place(own);
        let barred = match copy.account {
            Some(_) => cloud.whoami_in(&to).await.err().map(|fault| fault.to_string()),
            None => None,
        };
        legs.push(Leg { copy, to, barred });
    }
    legs
}

/// A run to come, as far as copies go.
pub(super) struct Outlook<'a> {
    pub cloud: &'a Governed,
    pub plan: &'a Plan,
    /// The own account.
    pub own: &'a str,
    pub legs: &'a [Leg<'a>],
    /// Where the plan selects.
    pub sources: &'a [Place],
}

impl Outlook<'_> {
    /// The older images whose copies the run would make, each with the verdict on that.
    pub async fn older(
        &self,
        books: Books<'_>,
        going_on: &ActiveRuns,
        listings: &[(Place, Listing)],
    ) -> Read<Vec<OwedPreview>> {
        let facts = Facts::default();
        let mut all = Vec::new();
        let listed = |place: &Place| listings.iter().any(|(known, _)| known == place);
        for leg in self.legs.iter().filter(|leg| leg.barred.is_none() && listed(&leg.to)) {
            let owing = distribution::owed_to(books, self.plan, leg.copy, self.own, self.sources, listings).await;
            for Owing { place, candidate } in owing {
                if going_on.sees_to(&place.subject(&candidate.image.id)) {
                    continue;
                }
                let source = facts.of_image(self.cloud, &place, &candidate.image).await?;
                let to = facts.destination(self.cloud, &source, leg.copy).await?;
                let (verdict, reasons) = told(&copying::copy(&source, &to));
                all.push(OwedPreview {
                    account: place.account,
                    region: place.region,
                    instance: candidate.marks.instance.clone(),
                    image: candidate.image.id,
                    due: rfc3339(candidate.marks.due),
                    destination: leg.copy.label(),
                    verdict,
                    reasons,
                });
            }
        }
        Ok(all)
    }

    /// Adds the copies that the run would make, of its own images and of older ones.
    pub fn add_copies(&self, listings: &mut [(Place, Listing)], preview: &PlanPreview, due: DateTime<Utc>) {
        for leg in self.legs {
            let label = leg.copy.label();
            let of_targets = preview.targets.iter().filter(|t| t.outcome == "selected").filter_map(|t| {
                let goes = |d: &DistributionPreview| d.verdict == "go" && d.destination.as_ref() == Some(&label);
                t.distribution.iter().any(goes).then_some((&t.instance, Some(due)))
            });
            let of_older = preview.owed.iter().filter(|o| o.verdict == "go" && o.destination == label);
            let of_older = of_older.map(|o| (&o.instance, parse_rfc3339(&o.due)));
            let wanted: Vec<(String, DateTime<Utc>)> =
                of_targets.chain(of_older).filter_map(|(instance, due)| Some((instance.clone(), due?))).collect();
            for (instance, due) in wanted {
                let Some(source) = self.source(listings, &instance, due) else { continue };
                let Some((_, there)) = listings.iter_mut().find(|(place, _)| *place == leg.to) else { continue };
                let series = Series { plan: self.plan.name.clone(), instance, place: leg.to.clone(), role: Role::Copy };
                let marks = Marks { role: Role::Copy, source: Some(source.image.id), ..source.marks };
                let mut copy = to_come(marks);
                self.shared(&leg.to, &mut copy);
                there.series.entry(series).or_default().push(copy);
            }
        }
    }

    /// The tags say of a copy whom it is shared with: it will not go at once.
    fn shared(&self, to: &Place, copy: &mut Candidate) {
        let grantees = self.plan.share.iter().flat_map(Share::grantees);
        let others = grantees.filter(|grantee| grantee.account() != Some(&to.account));
        let lent = others.map(|grantee| grantee.short().to_owned()).collect();
        for (key, value) in sharing::lent_tags(&lent) {
            copy.image.tags.insert(key, value);
        }
    }

    fn source(&self, listings: &[(Place, Listing)], instance: &str, due: DateTime<Utc>) -> Option<Candidate> {
        let list = |(place, listing): &'_ (Place, Listing)| {
            let (plan, instance) = (self.plan.name.clone(), instance.to_owned());
            let series = Series { plan, instance, place: place.clone(), role: Role::Image };
            listing.series.get(&series)?.iter().find(|c| c.marks.due == due).cloned()
        };
        listings.iter().filter(|(place, _)| self.sources.contains(place)).find_map(list)
    }
}

/// A destination in words.
pub(super) fn destination(copy: &CopyTo) -> DestinationPreview {
    DestinationPreview {
        destination: copy.label(),
        account: copy.account.as_ref().map(|account| account.id.clone()),
        region: copy.region.clone(),
        kms_key: copy.kms_key.clone(),
        via_key: copy.via_key.clone(),
    }
}

/// What would become of the image of one target.
pub(super) fn distribution(foreseen: &Foreseen, legs: &[Leg<'_>]) -> Vec<DistributionPreview> {
    let mut all = Vec::new();
    for (label, verdict) in &foreseen.copies {
        let barred = legs.iter().filter(|leg| leg.copy.label() == *label).find_map(|leg| leg.barred.clone());
        let (verdict, reasons) = match (verdict, barred) {
            (Verdict::Go(_), Some(why)) => told(&Verdict::NotNow(vec![why])),
            (verdict, _) => told(verdict),
        };
        let destination = Some(label.clone());
        all.push(DistributionPreview { what: "copy", destination, verdict, reasons, statements: Vec::new() });
    }
    let (verdict, reasons, statements) = match &foreseen.share {
        None => return all,
        Some(ShareVerdict::Go { via, by_policy, .. }) => {
            let way = via.iter().map(|key| format!("copied under {key} first")).collect();
            ("go", way, by_policy.clone())
        }
        Some(ShareVerdict::NotNow(why)) => ("not_now", why.clone(), Vec::new()),
        Some(ShareVerdict::Never(why)) => ("never", why.clone(), Vec::new()),
    };
    all.push(DistributionPreview { what: "share", destination: None, verdict, reasons, statements });
    all
}

fn told(verdict: &Verdict) -> (&'static str, Vec<String>) {
    match verdict {
        Verdict::Go(way) => ("go", words(way)),
        Verdict::Needless(why) => ("needless", vec![why.clone()]),
        Verdict::NotNow(why) => ("not_now", why.clone()),
        Verdict::Never(why) => ("never", why.clone()),
    }
}

/// The way of a copy.
fn words(way: &Way) -> Vec<String> {
    let under = way.kms_key.as_ref().map_or("unencrypted".to_owned(), |key| format!("under {key}"));
    let via = way.via.iter().map(|key| format!("copied under {key} first"));
    let lend = way.lend.then(|| "the destination is let in meanwhile".to_owned());
    [under].into_iter().chain(via).chain(lend).collect()
}
