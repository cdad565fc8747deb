//! Which instances an occurrence takes, with a reason for each one left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::fact::STILL_IMAGING;
use super::machine::OwnMachine;
use super::observed::{Instance, InstanceState, Tags};
use super::plan::{Mode, Plan, Select};
use super::prevented::{Hindrance, Prevented};

/// The tag that Auto Scaling puts on the instances of a group.
pub const AUTO_SCALING_TAG: &str = "aws:autoscaling:groupName";

/// The tags of what else replaces its members by itself: EC2's own fleets (user guide, "Tags of fleets"), and Karpenter's
/// node pools (its documentation, "Tagging").
const FLEET_TAGS: [(&str, &str); 4] = [
    ("aws:ec2spot:fleet-request-id", "Spot Fleet"),
    ("aws:ec2:fleet-id", "EC2 Fleet"),
    ("karpenter.sh/nodepool", "Karpenter node pool"),
    ("karpenter.sh/provisioner-name", "Karpenter provisioner"),
];

/// What must be known beside the instance itself.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Which machine the daemon runs on.
    pub own_machine: &'a OwnMachine,
    /// The ids of the volumes with Multi-Attach enabled.
    pub multi_attach: &'a BTreeSet<String>,
    /// Instances that are being imaged, each with the run that does it.
    pub imaging: &'a BTreeMap<String, String>,
}

/// The judgement of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// It is imaged.
    Target {
        /// Whether EC2 restarts it: it is running, and the mode asks for it.
        reboots: bool,
    },
    /// It is left out.
    Skip {
        /// Why.
        reason: Skip,
    },
}

/// Why an instance is left out. `Display` is for an operator, [`label`](Skip::label) for machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// `select` does not name it (its tags have changed since it was listed).
    NotSelected,
    /// It matches `select.exclude_tags`.
    Excluded {
        /// The tag's key and value on the instance.
        tag: String,
    },
    /// Its root device is an instance store.
    NotEbsBacked,
    /// Neither running nor stopped.
    WrongState(InstanceState),
    /// AWS tells something of it that this version cannot read.
    NotUnderstood(String),
    /// Hibernation is configured.
    Hibernation,
    /// A volume may be written by other instances meanwhile.
    MultiAttach {
        /// `vol-...`
        volume: String,
    },
    /// Its image of an earlier occurrence is not finished.
    StillImaging {
        /// The run that makes it.
        run: String,
    },
    /// A reboot could make its Auto Scaling group replace it.
    AutoScaling {
        /// The group's name.
        group: String,
    },
    /// A reboot could make its fleet replace it.
    Fleet {
        /// Which kind of fleet.
        kind: &'static str,
        /// Its name or id.
        name: String,
    },
    /// A service of AWS manages it (`Operator`): nobody else may.
    Managed {
        /// Which one.
        by: String,
    },
    /// It is, or could be, the machine that the daemon runs on.
    OwnMachine(Hindrance),
    /// The plan lists its id, but it exists nowhere that the plan looks.
    NotFound,
}

impl Skip {
    /// The machine label in logs and metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotSelected => "not_selected",
            Self::Excluded { .. } => "excluded",
            Self::NotEbsBacked => "not_ebs_backed",
            Self::WrongState(_) => "wrong_state",
            Self::NotUnderstood(_) => "not_understood",
            Self::Hibernation => "hibernation",
            Self::MultiAttach { .. } => "multi_attach",
            Self::StillImaging { .. } => STILL_IMAGING,
            Self::AutoScaling { .. } => "auto_scaling",
            Self::Fleet { .. } => "fleet",
            Self::Managed { .. } => "managed",
            Self::OwnMachine(_) => "own_machine",
            Self::NotFound => "not_found",
        }
    }

    /// What it is called where nobody has chosen it.
    #[must_use]
    pub fn prevents(&self) -> Option<Prevented> {
        match self {
            Self::NotUnderstood(_) => Some(Prevented::NotListed),
            Self::NotFound => Some(Prevented::NotFound),
            Self::OwnMachine(why) => why.prevented,
            // Being imaged for the second time in a row: who knows what was before says so.
            Self::StillImaging { .. }
            | Self::NotSelected
            | Self::Excluded { .. }
            | Self::NotEbsBacked
            | Self::WrongState(_)
            | Self::Hibernation
            | Self::MultiAttach { .. }
            | Self::AutoScaling { .. }
            | Self::Fleet { .. }
            | Self::Managed { .. } => None,
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSelected => write!(f, "neither its tags nor its id match select"),
            Self::Excluded { tag } => write!(f, "excluded by its tag {tag} (select.exclude_tags)"),
            Self::NotEbsBacked => write!(f, "its root device is not an EBS volume: it cannot be imaged"),
            Self::NotUnderstood(what) => write!(f, "it is left alone: {what}"),
            Self::WrongState(state) => {
                write!(f, "it is {}: only running and stopped instances can be imaged", state.as_str())
            }
            Self::Hibernation => {
                write!(
                    f,
                    "hibernation is configured: its image could hold a memory dump instead of a file system at rest"
                )
            }
            Self::MultiAttach { volume } => {
                write!(f, "its volume {volume} has Multi-Attach: other instances may write to it meanwhile")
            }
            Self::StillImaging { run } => write!(f, "run {run} is still imaging it"),
            Self::AutoScaling { group } => write!(
                f,
                "member of Auto Scaling group {group}, which may replace it during a reboot; \
                 select.allow_auto_scaling = true permits it"
            ),
            Self::Fleet { kind, name } => write!(
                f,
                "member of {kind} {name}, which may replace it during a reboot; select.allow_auto_scaling = true permits it"
            ),
            Self::Managed { by } => write!(f, "it is managed by {by}, and by nobody else: it is never taken"),
            Self::OwnMachine(why) => write!(f, "it is not rebooted: {}", why.reason),
            Self::NotFound => write!(f, "listed in select.instances but found nowhere that the plan looks"),
        }
    }
}

/// Whether `select` names the instance: all of its tags, or its id. Exclusion is [`choose`]'s business.
#[must_use]
pub fn matches(select: &Select, instance: &Instance) -> bool {
    let by_tags = !select.tags.is_empty()
        && select.tags.iter().all(|(key, patterns)| {
            instance.tags.get(key).is_some_and(|value| patterns.iter().any(|p| wildcard(p, value)))
        });
    by_tags || select.instances.contains(&instance.id)
}

/// Judges one instance for one plan. The order of the rules is the order of what an operator wants to hear.
#[must_use]
pub fn choose(plan: &Plan, instance: &Instance, facts: &Facts<'_>) -> Choice {
    match refusal(plan, instance, facts) {
        Some(reason) => Choice::Skip { reason },
        None => Choice::Target { reboots: reboots(plan, instance) },
    }
}

/// The ids that the plan lists and nobody found.
#[must_use]
pub fn missing(plan: &Plan, found: &BTreeSet<String>) -> Vec<String> {
    plan.select.instances.difference(found).cloned().collect()
}

/// The `tag:` filters of DescribeInstances for `select`; empty when it has no tags (then nothing is to be asked).
#[must_use]
pub fn tag_filters(select: &Select) -> Vec<(String, Vec<String>)> {
    select.tags.iter().map(|(key, values)| (key.clone(), values.iter().cloned().collect())).collect()
}

fn reboots(plan: &Plan, instance: &Instance) -> bool {
    match plan.consistency.mode {
        Mode::Reboot => instance.state == InstanceState::Running,
        Mode::None => false,
    }
}

fn refusal(plan: &Plan, instance: &Instance, facts: &Facts<'_>) -> Option<Skip> {
    if let Some(tag) = excluded(&plan.select, &instance.tags) {
        return Some(Skip::Excluded { tag });
    }
    if !matches(&plan.select, instance) {
        return Some(Skip::NotSelected);
    }
    if let Some(odd) = &instance.odd {
        return Some(Skip::NotUnderstood(odd.clone()));
    }
    if let Some(by) = &instance.managed_by {
        return Some(Skip::Managed { by: by.clone() });
    }
    if !matches!(instance.state, InstanceState::Running | InstanceState::Stopped) {
        return Some(Skip::WrongState(instance.state));
    }
    if !instance.ebs_root {
        return Some(Skip::NotEbsBacked);
    }
    if instance.hibernation {
        return Some(Skip::Hibernation);
    }
    if let Some(volume) = instance.volumes.iter().find(|v| facts.multi_attach.contains(*v)) {
        return Some(Skip::MultiAttach { volume: volume.clone() });
    }
    if let Some(run) = facts.imaging.get(&instance.id) {
        return Some(Skip::StillImaging { run: run.clone() });
    }
    if !reboots(plan, instance) {
        return None;
    }
    if let Some(why) = facts.own_machine.forbids(&instance.id) {
        return Some(Skip::OwnMachine(why));
    }
    if plan.select.allow_auto_scaling {
        return None;
    }
    if let Some(group) = instance.tags.get(AUTO_SCALING_TAG) {
        return Some(Skip::AutoScaling { group: group.clone() });
    }
    let fleet = FLEET_TAGS.iter().find_map(|(key, kind)| Some((*kind, instance.tags.get(*key)?)));
    fleet.map(|(kind, name)| Skip::Fleet { kind, name: name.clone() })
}

/// The first tag that excludes, as `key=value`.
fn excluded(select: &Select, tags: &Tags) -> Option<String> {
    select.exclude_tags.iter().find_map(|(key, patterns)| {
        let value = tags.get(key)?;
        patterns.iter().any(|p| wildcard(p, value)).then(|| format!("{key}={value}"))
    })
}

/// Matches as EC2's filters do: `*` is any text, `?` any one character, `\` takes the next one literally; case
/// counts (EC2 user guide, "Filter wildcards").
fn wildcard(pattern: &str, value: &str) -> bool {
    #[derive(PartialEq)]
    enum Part {
        Any,
        One,
        Is(char),
    }
    let mut parts = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '*' => Part::Any,
            '?' => Part::One,
            '\\' => Part::Is(chars.next().unwrap_or('\\')),
            c => Part::Is(c),
        });
    }
    let text: Vec<char> = value.chars().collect();
    // On a mismatch the latest `*` takes one character more: never worse than parts x text.
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match parts.get(p) {
            Some(Part::Any) => {
                star = Some((p, t));
                p += 1;
            }
            Some(part) if *part == Part::One || *part == Part::Is(text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    parts[p..].iter().all(|part| *part == Part::Any)
}

#[cfg(test)]
mod tests;
