//! What is known of copies and shares before anything is rebooted for them: what can never be done is refused then.

use futures_util::future::try_join_all;

use crate::cloud::governed::Governed;
use crate::cloud::port::Read;
use crate::domain::copying::{self, ShareVerdict, Source, Verdict};
use crate::domain::observed::Instance;
use crate::domain::place::Place;
use crate::domain::plan::{CopyTo, Plan};
use crate::domain::sharing::Grantee;
use crate::engine::distribution::lookup::Facts;

/// What will become of the images of one instance.
#[derive(Debug, Clone)]
pub struct Foreseen {
    /// The instance.
    pub instance: String,
    /// The verdict on the copy to each destination, by its label.
    pub copies: Vec<(String, Verdict)>,
    /// The verdict on `[share]`, if the plan has it.
    pub share: Option<ShareVerdict>,
}

impl Foreseen {
    /// Why the instance must not be imaged under this plan: something that the plan wants can never be done.
    #[must_use]
    pub fn never(&self) -> Option<String> {
        let mut why: Vec<String> = Vec::new();
        for (label, verdict) in &self.copies {
            if let Verdict::Never(reasons) = verdict {
                why.push(format!("no copy to {label} is possible: {}", reasons.join("; ")));
            }
        }
        if let Some(ShareVerdict::Never(reasons)) = &self.share {
            why.push(format!("its images cannot be shared: {}", reasons.join("; ")));
        }
        (!why.is_empty()).then(|| why.join("; "))
    }
}

/// Whether the images of `instances`, all in `place`, can be copied and shared as `plan` wants. With
/// [`Facts::at_once`] no destination is waited for.
///
/// # Errors
/// Something could not be looked up: nothing is known, and nothing refused.
pub async fn preflight(
    cloud: &Governed,
    facts: &Facts,
    plan: &Plan,
    place: &Place,
    instances: &[&Instance],
) -> Read<Vec<Foreseen>> {
    if plan.copies.is_empty() && plan.share.is_none() {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for source in facts.of_instances(cloud, place, instances).await? {
        // All at once: several that are silent take no longer than one.
        let ask = async |copy: &CopyTo| {
            let to = facts.destination(cloud, &source, copy).await?;
            let verdict = shareable(cloud, facts, plan, &source, copy, copying::copy(&source, &to)).await?;
            Ok((copy.label(), verdict))
        };
        let copies = try_join_all(plan.copies.iter().map(ask)).await?;
        let share = match &plan.share {
            Some(share) => {
                let via = facts.via(cloud, &source, share.via_key.as_deref()).await?;
                Some(copying::share(&source, share, via.as_ref()))
            }
            None => None,
        };
        all.push(Foreseen { instance: source.id, copies, share });
    }
    Ok(all)
}

/// The same verdict, unless the copy could never be shared as the plan wants.
async fn shareable(
    cloud: &Governed,
    facts: &Facts,
    plan: &Plan,
    source: &Source,
    copy: &CopyTo,
    verdict: Verdict,
) -> Read<Verdict> {
    let (Verdict::Go(way), Some(share)) = (&verdict, &plan.share) else { return Ok(verdict) };
    let to = copy.place(&source.account);
    let others = share.grantees().into_iter().any(|g| g != Grantee::Account(to.account.clone()));
    if !others {
        return Ok(verdict);
    }
    let key = match &way.kms_key {
        Some(key) => Some(key.clone()),
        None => facts.key_by_default(cloud, &to).await?,
    };
    let Some(key) = key else { return Ok(verdict) };
    match facts.key_there(cloud, &to, &key).await? {
        Ok(found) if found.aws_managed => Ok(Verdict::Never(vec![format!(
            "the copy would be encrypted under {key}, which AWS manages, and [share] could let nobody in; name a key of \
             your own with `kms_key` in that [[copy]]"
        )])),
        _ => Ok(verdict),
    }
}
